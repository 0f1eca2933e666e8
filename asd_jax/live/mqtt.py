"""MQTT as Home Assistant discovers it and ThingsBoard stores it; needs the extra `mqtt`.

Home Assistant finds a device with, for each machine, a problem sensor and the percentile, and
whether there is sound (https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery). The topic
`v1/devices/me/telemetry` is ThingsBoard's: it gets one flat object an event
(https://thingsboard.io/docs/reference/mqtt-api/#telemetry-upload-api).
"""

import json
import os
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from asd_jax.errors import UserError
from asd_jax.files import plain

THINGSBOARD = "v1/devices/me/telemetry"
_TIMEOUT = 20.0  # s


class Mqtt:
    """A connection to a broker that comes back by itself; `mqtt://USER@HOST:1883/TOPIC`."""

    name = "The MQTT broker"
    everything = True

    def __init__(self, url: str, machines: Sequence[str]):
        """Begins to connect.

        Args:
            url: of the broker, mqtts:// by TLS; without a topic 'asd_jax'. The password is in
                `ASD_JAX_MQTT_PASSWORD`.
            machines: names of those that may be heard.

        Raises:
            UserError: no such address, or paho-mqtt is missing.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise UserError(f"--mqtt={url}: give mqtt://USER@HOST:1883/TOPIC.")
        try:
            from paho.mqtt import client as paho
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise UserError("--mqtt needs paho-mqtt: pip install 'asd_jax[mqtt]'.") from error
        self.topic = parts.path.strip("/") or "asd_jax"
        self.machines = machines
        self._sound, self._silent = "OFF", set()  # until some was judged; places without sound
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        if parts.username:
            password = os.environ.get("ASD_JAX_MQTT_PASSWORD")
            self._client.username_pw_set(urllib.parse.unquote(parts.username), password)
        if parts.scheme == "mqtts":
            self._client.tls_set()
        if self.topic != THINGSBOARD:
            # The broker says so when the monitor is killed: a page of its own would be gone too.
            self._client.will_set(f"{self.topic}/availability", "offline", 1, retain=True)
        self._client.on_connect = lambda *_: self._greet()
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        self._client.connect_async(parts.hostname, port)
        self._client.loop_start()

    def send(self, event: Mapping[str, Any]) -> None:
        """See `notify.Channel`: states are retained, events are not."""
        if self.topic == THINGSBOARD:
            self._publish(self.topic, event, sure=event["event"] != "score")
            return
        if "machine" in event:
            alarm = {"alarm": "ON" if event.get("alarm") else "OFF"}
            self._publish(f"{self.topic}/{slug(event['machine'])}/state", {**event, **alarm}, True)
        heard = self._sound
        if event["event"] in ("sound", "score", "no_sound"):
            change = self._silent.add if event["event"] == "no_sound" else self._silent.discard
            change(event.get("place", ""))
            heard = "OFF" if self._silent else "ON"
        if heard != self._sound:
            self._sound = heard
            self._publish(f"{self.topic}/sound", heard, True)
        if event["event"] != "score":
            self._publish(f"{self.topic}/event", event, sure=True)

    def close(self) -> None:
        """Says that it goes."""
        if self.topic != THINGSBOARD:
            self._publish(f"{self.topic}/availability", "offline", True)
        self._client.disconnect()
        self._client.loop_stop()

    def _greet(self) -> None:
        """After each connection: what may be found here, and that it is alive."""
        if self.topic == THINGSBOARD:
            return
        self._client.publish(f"{self.topic}/availability", "online", 1, retain=True)
        self._client.publish(f"{self.topic}/sound", self._sound, 1, retain=True)
        for topic, about in discovery(self.topic, self.machines).items():
            self._client.publish(topic, json.dumps(about), 1, retain=True)

    def _publish(self, topic: str, value: Any, retain: bool = False, *, sure: bool = False) -> None:
        if not self._client.is_connected():  # it would be sent twice: by each try, once it is back
            if sure:
                raise ConnectionError("there is no connection")
            return
        text = value if isinstance(value, str) else json.dumps(plain(value))
        sent = self._client.publish(topic, text, qos=1, retain=retain)
        if sure:
            sent.wait_for_publish(_TIMEOUT)
            if not sent.is_published():
                raise TimeoutError("it did not answer")


def discovery(topic: str, machines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Home Assistant's retained configuration by topic."""
    own = slug(topic)
    common = {
        "availability_topic": f"{topic}/availability",
        "device": {"identifiers": [own], "name": f"Machine sound ({topic})", "model": "asd_jax"},
    }
    found = {
        f"homeassistant/binary_sensor/{own}/sound/config": {
            "name": "Sound",
            "unique_id": f"{own}_sound",
            "device_class": "connectivity",
            "state_topic": f"{topic}/sound",
            **common,
        }
    }
    for machine in machines:
        name = slug(machine)
        state = {"state_topic": f"{topic}/{name}/state", **common}
        found[f"homeassistant/binary_sensor/{own}/{name}/config"] = {
            "name": f"{machine} alarm",
            "unique_id": f"{own}_{name}_alarm",
            "device_class": "problem",
            "value_template": "{{ value_json.alarm }}",
            **state,
        }
        found[f"homeassistant/sensor/{own}/{name}/config"] = {
            "name": f"{machine} above healthy",
            "unique_id": f"{own}_{name}_percentile",
            "unit_of_measurement": "%",
            "state_class": "measurement",
            "value_template": "{{ value_json.percentile }}",
            **state,
        }
    return found


def slug(name: str) -> str:
    """A name as a level of a topic: letters, digits, _ and -."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name) or "_"
