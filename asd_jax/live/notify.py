"""Alarms that leave the page: a webhook, a command, e-mail, MQTT.

An event is a flat mapping: `event` (alarm, cleared, no_sound, sound, drift), `time`, `text` in
words, and for a machine's `machine`, `score`, `threshold`, `percentile`, `path`. Passwords come
from the environment, for a command line can be read by everyone on a computer.
"""

import datetime
import email.message
import json
import os
import queue
import shlex
import smtplib
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from absl import flags, logging

from asd_jax.errors import UserError
from asd_jax.files import plain
from asd_jax.naming import machine_name, machine_names

if TYPE_CHECKING:  # it brings jax
    from asd_jax.live.board import Place
    from asd_jax.live.healthy import Healthy

Event = Mapping[str, Any]
WAITS = (0.0, 2.0, 20.0)  # s before each try
_WAITING = 100  # events that may wait for a receiver that is away
_TIMEOUT = 20.0  # s


@runtime_checkable
class Channel(Protocol):
    """A way out of the page."""

    name: str
    everything: bool  # whether it wants every score, not only what happens

    def send(self, event: Event) -> None:
        """Sends one event; any exception means that it did not arrive."""


class Notifier:
    """Sends events, each channel by a thread of its own: one that is down holds up no other."""

    def __init__(
        self, channels: Sequence[Channel], failed: Callable[[str], None] = lambda sentence: None
    ):
        """Args: where to; is told in a sentence what did not arrive after all tries."""
        self._failed = failed
        self._queues: list[tuple[bool, queue.Queue[Event]]] = []
        for channel in channels:
            waiting: queue.Queue[Event] = queue.Queue(_WAITING)
            self._queues.append((channel.everything, waiting))
            threading.Thread(target=self._serve, args=(channel, waiting), daemon=True).start()

    def tell(self, event: Event) -> None:
        """Sends an event, without waiting for it."""
        for everything, waiting in self._queues:
            if event["event"] == "score" and not everything:
                continue
            try:
                waiting.put_nowait(event)
            except queue.Full:
                self._failed(f"A message was dropped, for too many wait: {event.get('text', '')}")

    def finish(self, seconds: float) -> None:
        """Waits until all was sent, at most so long."""
        done = threading.Thread(target=lambda: [q.join() for _, q in self._queues], daemon=True)
        done.start()
        done.join(seconds)

    def _serve(self, channel: Channel, waiting: "queue.Queue[Event]") -> None:
        while True:
            event = waiting.get()
            for number, wait in enumerate(WAITS):
                threading.Event().wait(wait)
                try:
                    channel.send(event)
                    break
                except Exception as error:  # a message lost must end neither thread nor listening
                    logging.warning("%s: %s", channel.name, error)
                    if number == len(WAITS) - 1:
                        self._failed(f"{channel.name} did not take a message: {error}")
            waiting.task_done()


def of_row(row: Mapping[str, Any], groups: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The event of a scored clip: alarm, cleared, or only its score.

    Args:
        row: as the page's board gets it, with its `time`.
        groups: the machines that its detector knows.
    """
    changed = row.get("alarm_changed")
    kind = {"raised": "alarm", "cleared": "cleared"}.get(changed or "", "score")
    machine = machine_name((row["machine_type"], row["machine_id"]), groups)
    figures = f"score {row['score']:.4g}, threshold {row['threshold']:.4g}"
    text = {
        "alarm": f"Alarm: {machine} does not sound healthy",
        "cleared": f"The alarm of {machine} is over",
        "score": machine,
    }[kind]
    columns = ("time", "score", "threshold", "percentile", "decision", "path", "quality", "alarm")
    said = {column: row.get(column) for column in columns}
    why = f" {row['why']}" if kind == "alarm" and row.get("why") else ""
    return {"event": kind, "text": f"{text} ({figures}).{why}", "machine": machine, **said}


class Webhook:
    """POSTs the event as JSON."""

    everything = False

    def __init__(self, url: str):
        """Raises UserError where it is no address."""
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise UserError(
                f"--webhook={url}: give an address that begins with https:// or http://."
            )
        self.url, self.name = url, "The webhook"

    def send(self, event: Event) -> None:
        """See `Channel`."""
        import requests

        requests.post(self.url, json=plain(event), timeout=_TIMEOUT).raise_for_status()


class Command:
    """Runs a program, without a shell: JSON on standard input, `ASD_EVENT`, `ASD_TEXT`."""

    everything = False

    def __init__(self, command: str):
        """Raises UserError where it is empty or its quotes do not close."""
        try:
            self.words = shlex.split(command)
        except ValueError as error:
            raise UserError(f"--on_alarm={command}: {error}.") from error
        if not self.words:
            raise UserError("--on_alarm is empty; give a command.")
        self.name = f"The command {self.words[0]}"

    def send(self, event: Event) -> None:
        """See `Channel`."""
        said = {"ASD_EVENT": str(event["event"]), "ASD_TEXT": str(event["text"])}
        text = json.dumps(plain(event)).encode()
        subprocess.run(
            self.words, input=text, env=os.environ | said, timeout=60, check=True, stdout=2
        )


class Mail:
    """Sends e-mail by `smtp://USER@HOST:587/?to=ADDRESS&from=ADDRESS`, or `smtps://` (TLS)."""

    everything = False

    def __init__(self, url: str):
        """Raises UserError where it names no host or no receiver."""
        self.url, self.name = urllib.parse.urlsplit(url), "The mail server"
        query = urllib.parse.parse_qs(self.url.query)
        self.to = query.get("to", [])
        if self.url.scheme not in ("smtp", "smtps") or not self.url.hostname or not self.to:
            raise UserError(f"--email={url}: give smtp://USER@HOST:587/?to=ADDRESS.")
        self.sender = query.get("from", self.to)[0]

    def send(self, event: Event) -> None:
        """See `Channel`. A password is sent only over TLS."""
        message = email.message.EmailMessage()
        message["Subject"] = " ".join(str(event["text"]).split())[:120]
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        lines = [f"{key}: {value}" for key, value in plain(event).items() if key != "text"]
        message.set_content("\n".join([str(event["text"]), "", *lines]))
        host, trusted = self.url.hostname or "", ssl.create_default_context()
        if self.url.scheme == "smtps":
            made = smtplib.SMTP_SSL(host, self.url.port or 465, timeout=_TIMEOUT, context=trusted)
        else:
            made = smtplib.SMTP(host, self.url.port or 587, timeout=_TIMEOUT)
        with made as server:
            if self.url.scheme == "smtp" and (self.url.username or server.has_extn("starttls")):
                server.starttls(context=trusted)
            if self.url.username:
                user = urllib.parse.unquote(self.url.username)
                server.login(user, os.environ.get("ASD_JAX_SMTP_PASSWORD", ""))
            server.send_message(message)


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
