#!/usr/bin/env python3
"""Makes the seeds of corpus/: entries with make_entry, archives of them with tarfile, traces.

make_corpus.py MAKE_ENTRY: the program that the build made. The same seeds come out every time,
but for those that tar and zstd make. What libFuzzer finds is added to corpus/ by hand.

SPDX-License-Identifier: Apache-2.0
"""
import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRIES = os.path.join(HERE, "corpus", "entry")
ARCHIVES = os.path.join(HERE, "corpus", "import")
TRACES = os.path.join(HERE, "corpus", "trace")
KEEP_BLOCKS = 2  # of zeros at the end of an archive; tar programs pad to 20


def make_entry(arch, abi_version, producer):
    return subprocess.run([sys.argv[1], str(arch), str(abi_version), producer], check=True,
                          stdout=subprocess.PIPE).stdout


def save(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def short_end(tar):
    data = tar.rstrip(b"\0")
    return data + bytes(-len(data) % 512 + 512 * KEEP_BLOCKS)


def archive(members, form=tarfile.USTAR_FORMAT):
    """members: (name, bytes), or (name, bytes, changes of the TarInfo)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data, *changes in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in (changes[0] if changes else {}).items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return short_end(out.getvalue())


def relabel_size(data, size):
    """The first header says another size, with its checksum put right."""
    header = bytearray(data[:512])
    header[124:136] = b"%011o\0" % size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def sparse(form):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "sm_90-sparse.cubin"), "wb") as file:
            file.truncate(10 << 30)
        tar = subprocess.run(["tar", "-C", folder, "--sparse", "--format=" + form, "--mtime=@0",
                              "--owner=0", "--group=0", "-cf", "-", "sm_90-sparse.cubin"],
                             check=True, stdout=subprocess.PIPE).stdout
    return short_end(tar)


def make_entries():
    good = make_entry(90, 8, "NVRTC 13.0, build corpus\n")
    old = make_entry(80, 7, "NVRTC 12.9, build corpus\n")
    save(ENTRIES, "whole_abi_8.cubin", good)
    save(ENTRIES, "whole_abi_7.cubin", old)
    save(ENTRIES, "no_producer.cubin", make_entry(90, 8, ""))
    save(ENTRIES, "long_producer.cubin", make_entry(90, 8, "x" * 600))
    save(ENTRIES, "truncated.cubin", good[:-1])
    save(ENTRIES, "footer_alone.cubin", good[-52:])
    save(ENTRIES, "longer.cubin", good + b"\0")
    save(ENTRIES, "empty.cubin", b"")
    return good, old


def make_archives(good, old):
    two = archive([("sm_80.cubin", old), ("sm_90.cubin", good)])
    save(ARCHIVES, "two_entries.tar", two)
    save(ARCHIVES, "two_entries.tar.gz", gzip.compress(two, mtime=0))
    save(ARCHIVES, "two_entries.tar.zst",
         subprocess.run(["zstd", "-qc"], input=two, check=True, stdout=subprocess.PIPE).stdout)
    save(ARCHIVES, "pax.tar", archive([("\u00fc" + "n" * 300 + ".cubin", good)],
                                      tarfile.PAX_FORMAT))
    save(ARCHIVES, "gnu.tar", archive([("n" * 300 + ".cubin", good)], tarfile.GNU_FORMAT))
    save(ARCHIVES, "sparse_gnu.tar", sparse("gnu"))
    save(ARCHIVES, "sparse_pax.tar", sparse("posix"))
    save(ARCHIVES, "outside_names.tar", archive([
        ("/absolute.cubin", old), ("../../above.cubin", good), ("a\033[31m\n.cubin", b"x")]))
    save(ARCHIVES, "links_and_devices.tar", archive([
        ("link.cubin", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("hard.cubin", b"", {"type": tarfile.LNKTYPE, "linkname": "sm_90.cubin"}),
        ("fifo.cubin", b"", {"type": tarfile.FIFOTYPE}),
        ("device.cubin", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
        ("sm_90.cubin", good)]))
    save(ARCHIVES, "whole_folder.tar", archive([
        ("udm", b"", {"type": tarfile.DIRTYPE}), ("udm/.lock", b""),
        ("udm/.udm-0123456789abcdef01234567.tmp", good[:100]), ("udm/sm_90.cubin", good)]))
    damaged = bytearray(good)
    damaged[5] ^= 1
    save(ARCHIVES, "damaged_entry.tar", archive([
        ("sm_80.cubin", old), ("damaged.cubin", bytes(damaged)), ("empty.cubin", b"")]))
    save(ARCHIVES, "huge_size.tar", relabel_size(two, 8 ** 11 - 1))
    save(ARCHIVES, "lying_size.tar", relabel_size(two, 3000))
    save(ARCHIVES, "large_size.tar", relabel_size(two, 65 << 20))
    save(ARCHIVES, "truncated.tar", two[:1536 + 300])
    save(ARCHIVES, "no_members.tar", bytes(1024))
    save(ARCHIVES, "no_archive.tar", b"this is no archive\n" * 40)


def make_traces():
    """What the traces of the command's tests do not have."""
    def line(member):
        return b'{"input_length":3,"output_length":2,' + member + b"}\n"
    save(TRACES, "deep.jsonl", line(b'"a":' + b"[" * 512 + b"]" * 512))
    save(TRACES, "too_deep.jsonl", line(b'"a":' + b"[" * 513 + b"]" * 513))
    save(TRACES, "wrong_bracket.jsonl", line(b'"a":[1}'))
    save(TRACES, "escapes.jsonl", line(b'"a\\"":"\\\\","b":"}","c":{}'))
    save(TRACES, "twice.jsonl", line(b'"input_length":1e0,"usage":{}'))
    save(TRACES, "lists.jsonl", b'{"input_lens":[ 1 , 2.0,3],"output_lens":[1,0,2]}\n')
    save(TRACES, "bad_lists.jsonl", b'{"input_lens":[1 2],"output_lens":[1,[0]]}\n')
    save(TRACES, "numbers.csv", b"input_length,output_length\n1e3,+5\n-0.0,4.\n.5e1,9e99\n")
    save(TRACES, "quotes.csv", b'"input_tokens",a,output_tokens\r\n"1","x,""\n",2\r\n')
    save(TRACES, "packed.csv.gz", gzip.compress(b"ContextTokens,GeneratedTokens\n1,2\n", mtime=0))


def main():
    for folder in (ENTRIES, ARCHIVES, TRACES):
        os.makedirs(folder, exist_ok=True)
    make_archives(*make_entries())
    make_traces()


if __name__ == "__main__":
    main()
