"""Ray: the same work on many machines."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from reco_assist.encoders import Encoder, load_encoder
from reco_assist.errors import EncoderError, InputError, reason

log = logging.getLogger("reco_assist")

_STARTS = 3  # Ray gives its node 30 s to report, with no setting for it; a busy machine needs more
_GCS_SECONDS = "180"


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where Ray runs, and what its workers load.

    Attributes:
        address: Of a running cluster, such as ray://head:10001 or auto; a Ray of its own on this machine if
            None.
        device: What workers load encoders on: auto takes a GPU where the cluster has some.
        encoder: Makes the encoder in each worker; by its name if None.
    """

    address: str | None = None
    device: str = "auto"
    encoder: Callable[[], Encoder] | None = None

    def connect(self) -> Any:  # noqa: ANN401  (the module ray, which has to be asked for)
        """Join the cluster, once for each process, and return the module `ray`.

        Raises:
            InputError: Ray is not installed, or there is no cluster at the address.
        """
        try:
            import ray  # noqa: PLC0415  (an extra)
            import ray.data  # noqa: PLC0415
        except ImportError as error:
            raise InputError("The engine ray is not installed: pip install 'reco-assist[ray]'.") from error
        if not ray.is_initialized():
            if self.address is None:
                _start(ray)
            else:
                self._join(ray)
        context = ray.data.DataContext.get_current()
        # Results come in the order of the listing, so that batches are those of an undisturbed local run.
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        return ray

    def _join(self, ray: Any) -> None:  # noqa: ANN401
        try:
            ray.init(self.address, logging_level=logging.WARNING)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"There is no Ray cluster at {self.address!r} ({reason(error)}); start one, or leave "
                "the address out for a Ray on this machine."
            ) from error

    def workers(self, ray: Any) -> tuple[dict[str, Any], dict[str, Any]]:  # noqa: ANN401
        """Options of the stages that decode and that encode: an encoder for each GPU, or two processors."""
        available = ray.cluster_resources()
        cores, gpus = int(available.get("CPU", 1)), int(available.get("GPU", 0))
        use_gpus = gpus > 0 and self.device != "cpu"
        encoders = gpus if use_gpus else max(1, cores // 2)
        decoders = max(1, cores - encoders)
        return (
            {"num_cpus": 1 if cores > 1 else 0.5, "concurrency": (1, decoders)},
            {"num_cpus": 1 if cores > 1 else 0.5, "num_gpus": int(use_gpus), "concurrency": (1, encoders)},
        )

    def factory(self, name: str, weights: str) -> Callable[[], Encoder]:
        """What makes the encoder in a worker, where it must have the weights that it has here."""
        return partial(_load, self.encoder or partial(load_encoder, name, device=self.device), weights)


@contextmanager
def worker_errors(ray: Any) -> Iterator[None]:  # noqa: ANN401
    """What went wrong in a worker, in one sentence.

    Raises:
        EncoderError: A worker failed; what was stored before stays.
    """
    try:
        yield
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EncoderError(f"A worker of the Ray cluster failed: {lines[-1][:200]}") from error


def _start(ray: Any) -> None:  # noqa: ANN401
    """Start a Ray of our own, again where the machine was too busy for the time that Ray gives itself."""
    os.environ.setdefault("RAY_gcs_server_port_wait_time_s", _GCS_SECONDS)
    for left in reversed(range(_STARTS)):
        try:
            ray.init(logging_level=logging.WARNING, include_dashboard=False)
        except Exception as error:  # Ray raises no narrower one when its node is late
            ray.shutdown()
            if not left:
                raise InputError(
                    f"Ray did not start on this machine ({reason(error)}); try again when it is less "
                    "busy, or start Ray by 'ray start --head' and give --ray-address auto."
                ) from error
            log.info("Ray did not start (%s); it is tried again.", reason(error))
        else:
            return


def _load(make: Callable[[], Encoder], weights: str) -> Encoder:
    encoder = make()
    if encoder.weights != weights:
        raise EncoderError(
            f"The encoder {encoder.name!r} has other weights on a worker ({encoder.weights[:12]}) than here "
            f"({weights[:12]}); install the same version of reco-assist everywhere."
        )
    return encoder
