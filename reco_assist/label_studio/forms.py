"""What a server's answers must look like, checked once on entry.

A form is a type; a dict of the keys that an object must have, with their forms; a list of one form, which all
entries have; or a tuple of forms, one of which fits.
"""

from typing import Any

Form = Any

ANYTHING: Form = object
_TEXT_OR_NOTHING: Form = (str, type(None))
_REGIONS: Form = ([{}], type(None))

PROJECT: Form = {"id": int, "title": str, "label_config": _TEXT_OR_NOTHING}
FOUND_PROJECTS: Form = {"results": [{"id": int, "title": str}]}
UPLOADS: Form = [{"file": str}]
STORAGES: Form = [{"path": _TEXT_OR_NOTHING}]
CONNECTED: Form = [{"id": int, "url": str}]
ACCESS: Form = {"access": str}

_OF_A_TASK: dict[str, Form] = {
    "data": {},
    "updated_at": str,
    "annotations": [{"id": int, "result": _REGIONS}],
    "predictions": [{"id": int, "result": _REGIONS}],
    "total_annotations": int,
}

TASK: Form = {"id": int, **{name: _OF_A_TASK[name] for name in ("data", "total_annotations")}}


def tasks(*include: str) -> Form:
    """A page of tasks with these fields."""
    fields = {name: form for name, form in _OF_A_TASK.items() if name in include}
    return {"total": int, "tasks": [{"id": int, **fields}]}


def fits(value: object, form: Form) -> bool:
    """Whether a JSON value is of a form."""
    if isinstance(form, tuple):
        return any(fits(value, one) for one in form)
    if isinstance(form, dict):
        return isinstance(value, dict) and all(
            key in value and fits(value[key], part) for key, part in form.items()
        )
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(one, form[0]) for one in value)
    return isinstance(value, form) and not (form is int and isinstance(value, bool))
