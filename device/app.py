"""App: a command line comes in; a running box, judged files or a checked bundle go out."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:  # heavy imports wait for the command that needs them
    from device.service import Box

log = logging.getLogger("device")

FAILED, USAGE = 1, 2
HELP = """The box beside the modality: receives chest films, flags and publishes them at once. Research use only.

Exit codes: 0 done, 1 something failed (named on standard error), 2 wrong usage or settings.
"""
app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The box's YAML file; see firmware_config/.")]
BundleOption = Annotated[Path, typer.Option("--bundle", help="The signed model bundle, a folder or one file.")]
TrustOption = Annotated[list[Path], typer.Option("--trust", help="A public key to trust besides the shipped ones.")]
BackendOption = Annotated[str, typer.Option("--backend", help="auto, cpu, coral or jetson.")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1, max=64, help="Threads of the interpreter.")]


@app.command()
def run(config: ConfigOption) -> None:
    """Run the box until SIGTERM or Ctrl-C.

    Prints where it listens, then one JSON object per log line, all on standard error. `ports.json` in the data folder
    holds the same addresses. A second box on the same data folder is refused.
    """
    from device.config import load_config, require_files
    from device.host import logs
    from device.service import Box

    settings = load_config(config)
    require_files(settings)
    logs.set_up(settings.log_level)
    box = Box(settings)
    run_box(box)


def run_box(box: Box) -> None:
    """Start it, say where it listens, wait for a signal or a room that failed, stop it."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        box.stop_event.set()

    def failed(hook: threading.ExceptHookArgs) -> None:
        log.error("thread_failed", exc_info=hook.exc_value)
        # A room that has ended leaves a box that looks alive: better a new start by systemd.
        if hook.thread and hook.thread.name.startswith("room-"):
            box.failed_room = hook.thread.name
            box.stop_event.set()

    threading.excepthook = failed
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        _say_where(box)
        box.stop_event.wait()
        log.info("stopping", extra={"failed_room": box.failed_room})
    finally:
        box.stop()
    if box.failed_room:
        _fail(f"{box.failed_room} failed; the log above has the traceback", FAILED)


def _say_where(box: Box) -> None:
    ports, config = box.start(), box.config
    lines = [f"films   in    {config.storage.data_dir / 'spool'}"]
    if ports["dicom"]:
        lines.append(f"C-STORE on    {config.dicom.host}:{ports['dicom']} as {config.dicom.ae_title}")
    if config.folder.path:
        lines.append(f"folder  on    {config.folder.path}")
    if ports["board"]:
        lines.append(f"board   on    {ports['board']}")
    scheme = "mqtts" if config.broker.tls else "mqtt"
    lines.append(f"results to    {scheme}://{config.broker.host}:{config.broker.port}/{box.topics.result}")
    print("\n".join(lines), file=sys.stderr, flush=True)


@app.command()
def classify(
    paths: Annotated[list[Path], typer.Argument(help="Films or folders of films: DICOM, JPEG, PNG.")],
    bundle: BundleOption,
    out: Annotated[Path | None, typer.Option("--out", help="Result lines go there instead of to the terminal.")] = None,
    progress: Annotated[bool, typer.Option("--progress", help="Show how far it is, on standard error.")] = False,
    site_key: Annotated[Path | None, typer.Option("--site-key", help="Makes the identifiers those of a site.")] = None,
    evidence: Annotated[
        Path | None, typer.Option("--evidence", help="Pictures of where scores come from go there.")
    ] = None,
    trust: TrustOption = [],  # noqa: B006 - typer reads it
    backend: BackendOption = "auto",
    threads: ThreadsOption = 2,
) -> None:
    """Judge files as the box would, one JSON result per line in input order, with `source_path` added.

    Exit code 0 when every file got a result; a gate rejection is one. Pictures are PNG files, named by exposure_id, for
    films with a flag.
    """
    from device.commands.classify_files import classify_paths

    code = classify_paths(
        paths, bundle=bundle, out=out, progress=progress, site_key=site_key, trusted=trust, backend=backend,
        threads=threads, evidence=evidence,
    )  # fmt: skip
    raise typer.Exit(code)


@app.command()
def selftest(
    bundle: BundleOption,
    trust: TrustOption = [],  # noqa: B006 - typer reads it
    backend: BackendOption = "auto",
    threads: ThreadsOption = 2,
    max_ms: Annotated[
        float | None, typer.Option("--max-ms", help="Fail when the median inference takes longer.")
    ] = None,
) -> None:
    """Check a bundle on this machine: signature, digests, golden inputs, latency."""
    from device.commands.selftest import selftest as check

    raise typer.Exit(check(bundle, trusted=trust, backend=backend, threads=threads, max_ms=max_ms))


@app.command()
def install(
    bundle: Annotated[Path, typer.Argument(help="The signed bundle, one file.")],
    config: ConfigOption,
    allow_older: Annotated[bool, typer.Option("--allow-older", help="Take a version that is not newer.")] = False,
) -> None:
    """Take a new model: verify it, try it in a process of its own, make it active. The one before is kept.

    Nothing has changed when it fails. The running box takes the new model when it is started again.
    """
    from device.bundle.slots import install as install_bundle
    from device.config import load_config

    done = install_bundle(bundle, load_config(config).model, allow_older=allow_older)
    print(f"{done.model.name} version {done.model.version} is active; start the box again to use it")


@app.command()
def rollback(config: ConfigOption) -> None:
    """Make the model of before the active one again."""
    from device.bundle.slots import roll_back
    from device.config import load_config

    done = roll_back(load_config(config).model)
    print(f"{done.model.name} version {done.model.version} is active again; start the box again to use it")


@app.command("site-key")
def site_key(
    file: Annotated[Path, typer.Argument(help="A new file; an existing one is never overwritten.")],
) -> None:
    """Make the key that a site's boxes and its collector share, readable by its owner only."""
    from device.contract import SITE_KEY_BYTES

    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        _fail(f"{file}: exists already and is kept; name another file", USAGE)
    except OSError as error:
        _fail(f"{file}: cannot be made ({error.strerror}); name a file in a folder you may write", FAILED)
    with os.fdopen(fd, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(SITE_KEY_BYTES) + "\n")
    print(
        f"{file}: made; copy it to the collector by a safe way and keep it, for identifiers cannot be matched without"
    )


@app.command()
def config() -> None:
    """Print every setting with its default and what it is for."""
    from device.commands.config_template import settings_text

    print(settings_text())


def _fail(words: str, code: int) -> NoReturn:
    print(f"pneumoflag-device: {words}", file=sys.stderr)
    raise typer.Exit(code)


def main() -> None:
    """The console script. The only broad catch of the box: what nobody foresaw is logged whole and ends it."""
    try:
        app()
    except Exception as error:  # noqa: BLE001 - see above
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    """One clear line for troubles that have a remedy, a traceback for the others. Returns the exit code."""
    from device.commands.exit_codes import exit_code

    code = exit_code(error)
    if code is None:
        log.critical("unforeseen", exc_info=error)
        return FAILED
    print(f"pneumoflag-device: {error}", file=sys.stderr)
    return code
