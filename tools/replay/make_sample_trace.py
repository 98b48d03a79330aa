#!/usr/bin/env python3
"""Makes sample_trace.jsonl: 200 invented requests, mostly chats and some long documents.

    tools/replay/make_sample_trace.py > tools/replay/sample_trace.jsonl

SPDX-License-Identifier: Apache-2.0
"""
import json
import random

REQUESTS = 200
LONG_SHARE = 0.1

draw = random.Random(2026)
timestamp = 0
for _ in range(REQUESTS):
    timestamp += int(draw.expovariate(1 / 400))
    is_long = draw.random() < LONG_SHARE
    median = 9000 if is_long else 900
    request = {
        "timestamp": timestamp,
        "input_length": min(16000, max(1, int(median * draw.lognormvariate(0, 0.6)))),
        "output_length": min(1000, max(1, int(150 * draw.lognormvariate(0, 0.8)))),
    }
    print(json.dumps(request))
