# SPDX-License-Identifier: Apache-2.0
"""These tests need PyTorch and a GPU. Without them pytest skips each test, with the reason."""

import pytest


def reason_to_skip():
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    return None if torch.cuda.is_available() else "PyTorch sees no GPU"


def pytest_collection_modifyitems(config, items):
    reason = reason_to_skip()
    if reason:
        config.option.reportchars = ""  # one line at the end gives the reason
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionfinish(session, exitstatus):
    """Exits with 77 for CTest if nothing could run: a skipped test is not a passed one."""
    if exitstatus == 0 and reason_to_skip():
        print(f"\nskipped: {reason_to_skip()}")
        session.exitstatus = 77


@pytest.fixture
def torch():
    import torch

    torch.cuda.synchronize()
    yield torch
    torch.cuda.synchronize()
