"""The labelling configurations of projects, from whoever tells of them first."""

import logging
from typing import Any, Protocol

from reco_assist.errors import RecoAssistError
from reco_assist.label_studio.config import Config
from reco_assist.label_studio.forms import PROJECT, Form

_LOG = logging.getLogger(__name__)


class Server(Protocol):
    """As much of a Label Studio server as knows configurations."""

    def once(self, method: str, path: str, form: Form, /) -> Any:  # noqa: ANN401  (any JSON)
        """What is at a path of its API, asked for once and of a form."""


class Configs:
    """Labelling configurations by project.

    Args:
        server: The connected server, which is asked for those that nobody has told of.
    """

    def __init__(self, server: Server | None = None) -> None:
        self._server = server
        self._told: dict[str, str] = {}

    def tell(self, project: str, xml: str) -> None:
        """Note what a request says."""
        self._told[project] = xml

    def find(self, project: str) -> Config | None:
        """The configuration of a project; None where it is not to be had now."""
        xml = self._told.get(project)
        try:
            if xml is None and self._server is not None and project:
                found = self._server.once("GET", f"/api/projects/{project}/", PROJECT)
                self._told[project] = xml = found["label_config"] or "<View/>"
            return None if xml is None else Config.parse(xml)
        except RecoAssistError as error:
            _LOG.warning("the labelling configuration of project %s is not known: %s", project, error)
            return None
