"""What this machine's kernel has not, one that every distribution ships has: netem and cgroup v2, in one boot of it.

SQUALL_VM names a command that runs its arguments as root on such a kernel. A part of each file is run by default, all of
it with SQUALL_LONG=1 (emulated, that takes ten minutes).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.operations.kernel import kernel_features
from tests.cluster_parts import missing

HERE = Path(__file__).parent
FILES = ("test_faults_cgroup.py", "test_faults_posted.py", "test_network_netem.py")
SHORT = (
    "quota_squeezes or limit_is_set_confirmed or frozen_container or (a_delay_is and out)"
    " or only_what_matches or killed_holder or foreign_qdisc"
)
SECONDS = 800


@pytest.mark.timeout(SECONDS + 60)
def test_all_of_it_works_on_a_stock_kernel():
    """Delays within 2 ms, only for what matches; limits of version 2; nothing left by either."""
    if "netem" in kernel_features() and Path("/sys/fs/cgroup/cgroup.controllers").exists():
        pytest.skip("this kernel has both itself: the tests of these files used them")
    vm = os.environ.get("SQUALL_VM", "")
    if not shutil.which(vm):
        missing("set SQUALL_VM to a command that runs its arguments as root on a stock kernel")
    wanted = "" if os.environ.get("SQUALL_LONG") == "1" else f"({SHORT}) and "
    tests = [*(str(HERE / name) for name in FILES), "-k", f"{wanted}not real_container"]
    inside = ["env", "SQUALL_REQUIRE=1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", sys.executable, "-m", "pytest"]
    done = subprocess.run(
        [vm, *inside, "-p", "pytest_timeout", "-p", "xdist.plugin", "-q", "-s", *tests],
        capture_output=True, text=True, timeout=SECONDS + 30, env={**os.environ, "VM_SECONDS": str(SECONDS)},
    )  # fmt: skip
    print("\n".join(line for line in done.stdout.splitlines() if "asked" in line or "passed" in line))
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
