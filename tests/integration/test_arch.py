# SPDX-License-Identifier: MIT
"""Which processors the code is for: no newer x86-64 than said, and arm64."""

import glob
import os
import platform
import re
import shutil
import subprocess
import sysconfig
import tempfile

from harness import BUILD, ROOT, UFOP, check, deadline, need_program, skip

# What x86-64-v2 does not have: VEX and EVEX instructions all begin with v (and
# nothing else that a compiler emits does), then those of v3, AES, carry-less
# multiplication, SHA and random numbers.  tzcnt is not among them: compilers
# write it where older processors read the bsf that they need.
NEWER = re.compile(
    r"\t(?:(?:lock|repz?|repnz|data16|bnd|notrack|cs|ds|es) )*"
    r"(v[a-z0-9]+|andn|bextr|blsi|blsmsk|blsr|bzhi|mulx|pdep|pext|rorx|sarx|"
    r"shlx|shrx|lzcnt|movbe|adcx|adox|aes[a-z]+|pclmul[a-z]*|sha1[a-z0-9]+|"
    r"sha256[a-z0-9]+|rdrand|rdseed|xgetbv)\b[^\n]*")


def disassembly(path):
    return subprocess.run([need_program("objdump"), "-d", "--no-show-raw-insn",
                           path], check=True, capture_output=True,
                          text=True).stdout


@deadline(60)
def test_built_for_x86_64_v2_and_no_more():
    if platform.machine() != "x86_64":
        skip("this is no x86-64 machine")
    parts = [UFOP, *glob.glob(os.path.join(BUILD, "*.so")),
             *glob.glob(os.path.join(BUILD, "services", "*.so"))]
    texts = {os.path.basename(part): disassembly(part) for part in parts}
    check({"ufop", "ufop-front.so", "images.so"} <= set(texts), "%r",
          sorted(texts))
    for name, text in texts.items():
        check("\tret" in text, "%s: no code was seen", name)
        newer = NEWER.search(text)
        check(newer is None, "%s has an instruction that x86-64-v2 has not: %s",
              name, newer and newer.group().strip())
    # And no less: SSE4.1, or the pixel loops would be those without SIMD.
    check("\tpmovzxbw" in texts["images.so"], "images.so is built without SSE4.1")


@deadline(180)
def test_every_file_compiles_for_arm64():
    cc = need_program("aarch64-linux-gnu-gcc")
    # The libraries' headers are the same for all machines with 64 bits, and
    # this machine's stand behind those that the C library has for arm64.
    ours = "/usr/include/" + sysconfig.get_config_var("MULTIARCH")
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MAKELEVEL", "CFLAGS", "ARCH")}
    env["CPPFLAGS"] = "-idirafter %s" % ours
    top = tempfile.mkdtemp(prefix="arm64-")
    try:
        r = subprocess.run(["make", "-C", ROOT, "-k", "-j2", "CC=" + cc,
                            "OPT=-O0", "BUILD=" + top, "objects"],
                           env=env, capture_output=True, text=True)
        check(r.returncode == 0, "%s", r.stderr[-3000:])
        objects = glob.glob(top + "/**/*.o", recursive=True)
        sources = glob.glob(os.path.join(ROOT, "worker", "**", "*.c"),
                            recursive=True)
        check(len(objects) > len(sources), "%d objects", len(objects))
        for path in objects:
            with open(path, "rb") as f:
                head = f.read(20)
            # EM_AARCH64 of the ELF header
            check(head[:4] == b"\x7fELF" and head[18:20] == b"\xb7\0",
                  "%s is not for arm64", path)
    finally:
        shutil.rmtree(top)
