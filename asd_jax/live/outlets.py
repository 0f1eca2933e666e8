"""The flags of what leaves the page, and who sends it; only `asd_jax.monitor` reads them."""

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from asd_jax.live.notify import Channel, Command, Mail, Notifier, Webhook, of_row
from asd_jax.naming import machine_names

if TYPE_CHECKING:  # it brings jax
    from asd_jax.live.board import Place
    from asd_jax.live.healthy import Healthy

WEBHOOK = flags.DEFINE_multi_string(
    "webhook", [], "An address that alarms are POSTed to as JSON; may be given several times."
)
COMMAND = flags.DEFINE_string(
    "on_alarm", None, "A command that is run at each alarm and its end, JSON on standard input."
)
EMAIL = flags.DEFINE_string(
    "email",
    None,
    "smtp://USER@HOST:587/?to=ADDRESS&from=ADDRESS; the password in ASD_JAX_SMTP_PASSWORD.",
)
MQTT = flags.DEFINE_string(
    "mqtt", None, "mqtt://USER@HOST:1883/TOPIC; the password in ASD_JAX_MQTT_PASSWORD."
)


_DRIFT = 60.0  # s between two looks at the last day


class Outlets:
    """Tells the world what happens at the places that are listened to."""

    def __init__(self, places: Sequence["Place"], groups: Any, healthy: "Healthy"):
        """Raises UserError where a flag can't be; `groups` are the machines of the detector."""
        self._places, self._silent = tuple(places), [False] * len(places)
        self._healthy, self._next = healthy, 0.0
        channels: list[Channel] = [Webhook(url) for url in WEBHOOK.value]
        channels += [Command(COMMAND.value)] if COMMAND.value else []
        channels += [Mail(EMAIL.value)] if EMAIL.value else []
        self._mqtt = None
        if MQTT.value:
            from asd_jax.live.mqtt import Mqtt

            self._mqtt = Mqtt(MQTT.value, machine_names(groups))
            channels.append(self._mqtt)
        self._notifier = Notifier(channels, self._note)

        def teller(place: "Place") -> Callable[[Mapping[str, Any]], None]:
            named = _named(place)
            return lambda row: self._notifier.tell(of_row(row, groups) | named)

        for place in places:
            place.board.scored = teller(place)

    def look(self) -> None:
        """Tells whether sound has stopped, come back or begun to drift since the last look."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _DRIFT
            found = self._healthy.drift()
            if found and not self._places[0].board.drift:
                self.tell("drift", " ".join(found))
            for place in self._places:
                place.board.drift = found
        for number, place in enumerate(self._places):
            health = place.board.health()
            if health["paused"] == self._silent[number]:
                continue
            silent = self._silent[number] = health["paused"]
            text = f"No sound: {health['why']}" if silent else "Sound is judged again."
            text = f"{place.name}: {text}" if place.name else text
            self.tell("no_sound" if silent else "sound", text, **_named(place))

    def tell(self, kind: str, text: str, **more: Any) -> None:
        """Sends an event of no machine."""
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._notifier.tell({"event": kind, "time": at, "text": text, **more})

    def _note(self, sentence: str) -> None:
        for place in self._places:
            place.board.note(sentence)

    def close(self) -> None:
        """Sends what waits, for some seconds."""
        self._notifier.finish(5.0)
        if self._mqtt:
            self._mqtt.close()


def _named(place: "Place") -> dict[str, str]:
    """The field that tells several places apart."""
    return {"place": place.name} if place.name else {}
