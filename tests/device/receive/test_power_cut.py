"""A simulated power cut: only what was synced is still there. The outbox keeps its promises; with NORMAL it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from shutil import which

import pytest

from device.delivery.outbox import Outbox

SHIM = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* The disk after the cut: files are there as they were at their last sync, or gone if their folder was synced since. */
static void forget(const char *folder, const char *shadow) {
    char live[4096], old[4096];
    DIR *dir = opendir(shadow);
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(live, sizeof live, "%s/%s", folder, entry->d_name);
        snprintf(old, sizeof old, "%s/%s", shadow, entry->d_name);
        if (entry->d_name[0] != '.' && access(live, F_OK)) unlink(old);
    }
    closedir(dir);
}
static void keep(int fd) {
    char link[64], from[4096], to[4096], fresh[4096], block[65536];
    const char *shadow = getenv("SHADOW");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, from, sizeof from - 1);
    struct stat st;
    if (!shadow || n < 0 || fstat(fd, &st)) return;
    from[n] = 0;
    if (S_ISDIR(st.st_mode)) forget(from, shadow);
    if (!S_ISREG(st.st_mode)) return;
    snprintf(to, sizeof to, "%s/%s", shadow, strrchr(from, '/') + 1);
    snprintf(fresh, sizeof fresh, "%s.fresh", to);
    int in = open(from, O_RDONLY), out = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    while ((n = read(in, block, sizeof block)) > 0) if (write(out, block, n) != n) abort();
    close(in); close(out);
    if (rename(fresh, to)) abort();
}
static int sync_with(const char *name, int fd) {
    int (*next)(int) = dlsym(RTLD_NEXT, name);
    int failed = next(fd);
    if (!failed) keep(fd);
    return failed;
}
int fsync(int fd) { return sync_with("fsync", fd); }
int fdatasync(int fd) { return sync_with("fdatasync", fd); }
"""
BOX = textwrap.dedent("""
    import sys
    from pathlib import Path
    from device.delivery.outbox import Outbox
    from tests.support.results import draft, entry
    box = Outbox(Path(sys.argv[1]), synchronous=sys.argv[2])
    for number in range(1_000_000):
        result = box.put(draft(str(number)), entry(draft(str(number))))
        print(result.result_id, flush=True)
        if number % 4 == 3:
            box.confirm([result.result_id])
            print("-" + result.result_id, flush=True)
""")


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    if not which("gcc"):
        pytest.skip("a power cut is simulated by a small C library: gcc is missing")
    (tmp_path / "shim.c").write_text(SHIM, encoding="utf-8")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "shim.so", tmp_path / "shim.c", "-ldl"], check=True)
    return tmp_path / "shim.so"


def promised_and_kept(folder: Path, shim: Path, synchronous: str) -> tuple[set[str], set[str]]:
    """What the box had promised to send when the power went, and what is there to send afterwards."""
    live, shadow = folder / "live", folder / "shadow"
    live.mkdir()
    shadow.mkdir()
    promised: set[str] = set()
    with subprocess.Popen(
        [sys.executable, "-c", BOX, str(live / "outbox.sqlite"), synchronous],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LD_PRELOAD": str(shim), "SHADOW": str(shadow)},
    ) as process:
        assert process.stdout
        while len(promised) < 60:
            line = process.stdout.readline().strip()
            assert line
            (promised.discard if line.startswith("-") else promised.add)(line.lstrip("-"))
        process.kill()
    box = Outbox(shadow / "outbox.sqlite")
    results = {message.result_id for message in box.waiting(limit=10_000)}
    box.close()
    return promised, results


def test_the_outbox_keeps_every_promise_through_a_power_cut(tmp_path: Path, shim: Path) -> None:
    promised, results = promised_and_kept(tmp_path, shim, "FULL")
    assert promised <= results


def test_the_same_cut_breaks_promises_without_full_synchronisation(tmp_path: Path, shim: Path) -> None:
    promised, results = promised_and_kept(tmp_path, shim, "NORMAL")
    assert promised - results
