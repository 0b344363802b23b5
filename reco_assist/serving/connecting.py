"""Tell a Label Studio server about the backend, so that nobody has to fill in forms."""

from reco_assist.errors import ServerError
from reco_assist.label_studio import Server
from reco_assist.label_studio.forms import CONNECTED
from reco_assist.label_studio.project import find

_TITLE = "reco-assist"
_ACTIONS = ["ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"]


def connect(server: Server, project: str, url: str, token: str) -> str:
    """Connect the backend to a project and have it told of annotations.

    Doing it again doubles nothing, and tells the server of the token of now. Another address is another
    backend.

    Args:
        server: The server.
        project: Title or number of a project.
        url: Where the server reaches the backend.
        token: What the backend wants to be shown.

    Returns:
        A sentence about what was done.

    Raises:
        ServerError: There is no such project, or the server refuses.
    """
    server.hide(token)  # a refusal may quote what was sent
    found = find(server, project)
    if found is None:
        raise ServerError(f"{server.url} has no project {project!r}; push to it first, or give its number.")
    known = server.get("/api/ml/", CONNECTED, project=found.id)
    backend = {
        "project": found.id,
        "title": _TITLE,
        "url": url,
        "is_interactive": True,
        "auth_method": "BASIC_AUTH",
        "basic_auth_user": _TITLE,
        "basic_auth_pass": token,
    }
    same = [one["id"] for one in known if one["url"].rstrip("/") == url]
    if same:
        server.patiently("PATCH", f"/api/ml/{same[0]}", json=backend)
    else:
        server.once("POST", "/api/ml/", json=backend)
    hook = {
        "project": found.id,
        "url": f"{url}/webhook",
        "send_payload": True,
        "send_for_all_actions": False,
        "actions": _ACTIONS,
        "is_active": True,
        "headers": {"Authorization": f"Bearer {token}"},
    }
    hooked = server.get("/api/webhooks/", CONNECTED, project=found.id)
    hooks = [one["id"] for one in hooked if one["url"] == hook["url"]]
    if hooks:
        server.patiently("PATCH", f"/api/webhooks/{hooks[0]}/", json=hook)
    else:
        server.once("POST", "/api/webhooks/", json=hook)
    return f"{server.url}: connected to the project {found.title!r}"
