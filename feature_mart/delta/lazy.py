"""A Spark session that starts when it is first needed, and not before."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class LazySession:
    """Called, it gives the mart's session; the first call starts Spark, unless a session was handed in.

    The engine works in a session of its own beside the one that was handed in, so that settings which decide results
    (time zone, ANSI mode, …) are always the engine's, and the caller's are never changed.
    """

    def __init__(
        self,
        *,
        master: str,
        conf: Mapping[str, str],
        given: SparkSession | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> None:
        self._master = master
        self._conf = dict(conf)
        self._given = given
        self._on_start = on_start
        self._session: SparkSession | None = None
        self._starting = threading.Lock()

    @property
    def is_started(self) -> bool:
        """Whether Spark has been needed so far."""
        return self._session is not None

    def __call__(self) -> SparkSession:
        """The engine's session; started now if it was not."""
        with self._starting:
            if self._session is None:
                # pyspark costs half a second to import; commands that need no Spark never come here.
                from feature_mart.delta.session import engine_session, running_session, start_session

                self._given = self._given or running_session()
                if self._given is None and self._on_start is not None:
                    self._on_start()
                self._session = engine_session(self._given or start_session(self._conf, self._master))
            return self._session

    def stop(self) -> None:
        """Ends the Spark that this object started; a session that was handed in goes on."""
        if self._session is not None and self._given is None:
            self._session.stop()
        self._session = None
