"""Command line of the box beside the modality."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from console.errors import ExpectedError, UsageError
from console.program import new_app, run

if TYPE_CHECKING:  # heavy imports wait for the command that needs them
    from device.service import Box

log = logging.getLogger("device")

app = new_app(
    "pneumoflag-device",
    "Runs the box beside the modality: receives chest exposures, flags each at once and publishes the results. "
    "Research use only.\n\n"
    "Example: pneumoflag-device run --config /etc/pneumoflag/device.yaml",
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="Settings, a YAML file; `pneumoflag-device config` prints one.")
]
BundleOption = Annotated[Path, typer.Option("--bundle", help="The signed model bundle, a folder or one file.")]
TrustedKeyOption = Annotated[
    list[Path],
    typer.Option("--trusted-key", metavar="<path>", help="A public key to trust besides the shipped ones; repeatable."),
]
BackendOption = Annotated[str, typer.Option("--backend", help="What runs the network: auto, cpu, coral or jetson.")]
ThreadsOption = Annotated[
    int, typer.Option("--threads", metavar="<int>", min=1, max=64, help="Threads of the interpreter on the CPU.")
]


@app.command("run")
def run_service(config: ConfigOption) -> None:
    """Run the box until SIGTERM or Ctrl-C.

    Prints where it listens, then one JSON object per log line, all on standard error. The file `ports.json` in the data
    folder holds the same addresses. A second box on the same data folder is refused.

    Example: pneumoflag-device run --config /etc/pneumoflag/device.yaml
    """
    from console import logs
    from device.config import load_config, require_files
    from device.service import Box

    settings = load_config(config)
    require_files(settings)
    logs.set_up(settings.log_level)
    run_box(Box(settings))


def run_box(box: Box) -> None:
    """Start the box, print its addresses, wait for a signal or a failed thread, and stop it."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        box.stop_event.set()

    def failed(hook: threading.ExceptHookArgs) -> None:
        log.error("thread_failed", exc_info=hook.exc_value)
        # Without one of its threads the box only looks alive: better a restart by systemd.
        if hook.thread and hook.thread.name.startswith("box-"):
            box.failed_thread = hook.thread.name
            box.stop_event.set()

    threading.excepthook = failed
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        _print_addresses(box, box.start())
        box.stop_event.wait()
        log.info("stopping", extra={"failed_thread": box.failed_thread})
    finally:
        box.stop()
    if box.failed_thread:
        raise ExpectedError(f"{box.failed_thread} failed; the log above has the traceback")


def _print_addresses(box: Box, ports: Mapping[str, str | int | None]) -> None:
    config = box.config
    lines = [f"spool   in    {config.storage.data_dir / 'spool'}"]
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
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders of them: DICOM, JPEG, PNG.")],
    bundle: BundleOption,
    out: Annotated[Path | None, typer.Option("--out", help="File for the results; default: standard output.")] = None,
    progress: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Show progress; default: on a terminal.")
    ] = None,
    site_key: Annotated[
        Path | None, typer.Option("--site-key", help="The site's key: identifiers then match those of its boxes.")
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option("--evidence", help="Folder for evidence maps, pictures of where a score comes from."),
    ] = None,
    trusted_key: TrustedKeyOption = [],  # noqa: B006 - typer reads it
    backend: BackendOption = "auto",
    threads: ThreadsOption = 2,
) -> None:
    """Classify files as the box would.

    Writes one JSON result per line, in input order, with `source_path` added. Exits with 0 when every file has a
    result; a rejection by the gate is a result too. `--evidence` writes a PNG for each image with a flag, named after
    its exposure_id.

    Example: pneumoflag-device classify images/ --bundle model.bundle --out results.jsonl
    """
    from device.commands.classify_files import classify_paths

    code = classify_paths(
        paths,
        bundle=bundle,
        out=out,
        progress=sys.stderr.isatty() if progress is None else progress,
        site_key=site_key,
        trusted=trusted_key,
        backend=backend,
        threads=threads,
        evidence=evidence,
    )
    raise typer.Exit(code)


@app.command()
def selftest(
    bundle: BundleOption,
    trusted_key: TrustedKeyOption = [],  # noqa: B006 - typer reads it
    backend: BackendOption = "auto",
    threads: ThreadsOption = 2,
    max_ms: Annotated[
        float | None, typer.Option("--max-ms", help="Longest median inference that passes, in milliseconds.")
    ] = None,
) -> None:
    """Check a bundle on this machine.

    Verifies signature and digests, runs the golden inputs and measures the latency.

    Example: pneumoflag-device selftest --bundle model.bundle --max-ms 250
    """
    from device.commands.selftest import selftest as check

    raise typer.Exit(check(bundle, trusted=trusted_key, backend=backend, threads=threads, max_ms=max_ms))


@app.command()
def install(
    bundle: Annotated[Path, typer.Argument(help="The signed bundle, one file.")],
    config: ConfigOption,
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="Accept a version that is not newer than the active one.")
    ] = False,
) -> None:
    """Install a new model.

    Verifies it, tries it in a process of its own and makes it active. The previous one is kept. Nothing changes when a
    check fails. The box uses the new model from its next start.

    Example: pneumoflag-device install model.bundle --config /etc/pneumoflag/device.yaml
    """
    from device.bundle.slots import install as install_bundle
    from device.config import load_config

    active = install_bundle(bundle, load_config(config).model, allow_older=allow_older).model
    print(f"{active.name} version {active.version} is active; restart the box to use it")


@app.command()
def rollback(config: ConfigOption) -> None:
    """Make the previous model active again. The box uses it from its next start.

    Example: pneumoflag-device rollback --config /etc/pneumoflag/device.yaml
    """
    from device.bundle.slots import roll_back
    from device.config import load_config

    active = roll_back(load_config(config).model).model
    print(f"{active.name} version {active.version} is active again; restart the box to use it")


@app.command("site-key")
def site_key(
    file: Annotated[Path, typer.Argument(help="File to create; an existing one is never overwritten.")],
) -> None:
    """Create the key that a site's boxes and collector share.

    Only its owner can read the file.

    Example: pneumoflag-device site-key /etc/pneumoflag/site.key
    """
    from device.contract import SITE_KEY_BYTES

    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{file}: exists already and is kept; name another file") from None
    except OSError as error:
        raise ExpectedError(
            f"{file}: cannot be created ({error.strerror}); name a file in a folder you may write"
        ) from None
    with os.fdopen(fd, "w", encoding="ascii") as stream:
        stream.write(secrets.token_hex(SITE_KEY_BYTES) + "\n")
    print(
        f"{file}: created; copy it to the collector over a safe channel and keep it: without it nothing can be matched"
    )


@app.command("config")
def print_config() -> None:
    """Print every setting, as a YAML file to start from.

    Example: pneumoflag-device config > device.yaml
    """
    from console.settings import settings_template
    from device.config import DeviceConfig

    print(settings_template(DeviceConfig), end="")


def main() -> None:
    """Entry point of `pneumoflag-device`."""
    run(app, extra="device")
