from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from device.config import BrokerConfig, load_config
from device.contract import Topics
from device.delivery.outbox import Outbox
from device.delivery.publisher import Publisher
from device.host.alarms import Alarms
from tests.device.delivery.test_publisher import QUICK, until
from tests.support.mosquitto import Mosquitto
from tests.support.results import draft, entry

PROFILES = ("coral-dev-board", "coral-usb", "generic-x86", "jetson-orin-nano")


@pytest.fixture
def folder(project_root: Path) -> Path:
    return project_root / "firmware_config"


def test_the_profiles_are_those_of_the_supported_devices(folder: Path) -> None:
    assert tuple(sorted(path.stem for path in folder.glob("*.yaml"))) == PROFILES


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_is_a_whole_configuration(folder: Path, name: str) -> None:
    config = load_config(folder / f"{name}.yaml")
    assert config.broker.tls
    assert config.broker.username == f"{config.site}/{config.device}", "as the access list expects"
    assert config.board.host == "127.0.0.1"
    assert config.model.backend == {"generic-x86": "cpu", "jetson-orin-nano": "jetson"}.get(name, "coral")


@pytest.mark.parametrize("name", ["pneumoflag-device.service", "pneumoflag-collector.service"])
def test_systemd_finds_no_fault_in_the_units(folder: Path, tmp_path: Path, name: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is missing")
    # The program is not installed where the unit expects it.
    text = (folder / "systemd" / name).read_text(encoding="utf-8").replace("/opt/pneumoflag/bin/", "/bin/true ")
    (tmp_path / name).write_text(text, encoding="utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / name], check=False, capture_output=True, text=True, timeout=60
    )
    assert name not in verified.stderr, verified.stderr


@pytest.fixture
def broker(folder: Path, tmp_path: Path) -> Iterator[Mosquitto]:
    """The shipped access list, without TLS."""
    passwords = tmp_path / "passwords"
    if not shutil.which("mosquitto_passwd"):
        pytest.skip("mosquitto_passwd is missing: apt-get install mosquitto")
    passwords.touch()
    for user in ("site/box", "site/other", "collector"):
        subprocess.run(["mosquitto_passwd", "-b", passwords, user, "secret"], check=True)
    access_list = folder / "mosquitto" / "pneumoflag.acl"
    running = Mosquitto(tmp_path, extra=f"password_file {passwords}\nacl_file {access_list}", anonymous=False).start()
    yield running
    running.close()


class Client:
    def __init__(self, port: int, user: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.codes: dict[int, int] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(user, "secret")
        self._client.on_message = lambda _c, _u, message: self.messages.append((message.topic, bytes(message.payload)))
        self._client.on_publish = lambda _c, _u, mid, code, _p: self.codes.update({mid: code.value})
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def subscribe(self, topic: str) -> None:
        granted = threading.Event()
        self._client.on_subscribe = lambda *_: granted.set()
        self._client.subscribe(topic, qos=1)
        assert granted.wait(5)

    def may_publish(self, topic: str) -> bool:
        mid = self._client.publish(topic, "{}", qos=1).mid
        until(lambda: mid in self.codes)
        return self.codes[mid] < 0x80

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.mark.mosquitto
def test_the_access_list_lets_a_box_deliver_and_the_collector_answer(broker: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n", encoding="utf-8")
    topics, alarms = Topics(site="site", device="box"), Alarms()
    outbox = Outbox(tmp_path / "outbox.sqlite")
    result = outbox.put(draft(), entry(draft()))
    collector = Client(broker.port, "collector")
    collector.subscribe("$share/collectors/pneumoflag/v1/#")
    login = BrokerConfig(port=broker.port, username="site/box", password_file=tmp_path / "password")
    publisher = Publisher(outbox, topics=topics, broker=login, limits=QUICK, alarms=alarms)
    until(lambda: (publisher.step(0.05), [body for topic, body in collector.messages if topic == topics.result])[1])
    assert alarms.active() == {}
    collector._client.publish(topics.receipt, f'{{"schema":1,"result_ids":["{result.result_id}"]}}', qos=1)
    until(lambda: (publisher.step(0.05), outbox.depth() == 0)[1])
    publisher.close()
    collector.close()


@pytest.mark.mosquitto
def test_the_access_list_keeps_boxes_from_speaking_for_others(broker: Mosquitto) -> None:
    box, other = Client(broker.port, "site/box"), Client(broker.port, "site/other")
    other.subscribe("pneumoflag/v1/#")
    assert box.may_publish("pneumoflag/v1/site/box/result")
    assert not box.may_publish("pneumoflag/v1/site/other/result")
    assert not box.may_publish("pneumoflag/v1/site/box/receipt"), "a receipt makes a box forget"
    assert not box.may_publish("pneumoflag/v1/site/other/receipt")
    time.sleep(0.3)
    assert other.messages == [], "results are for the collector alone"
    box.close()
    other.close()
