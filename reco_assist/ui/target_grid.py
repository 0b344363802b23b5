"""TargetGrid: all targets under their masks, to decide about many at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from reco_assist.errors import ImageError
from reco_assist.images import decode
from reco_assist.session import ReviewItem, State
from reco_assist.ui.gallery import ExemplarGallery, GalleryItem
from reco_assist.ui.pictures import painted
from reco_assist.ui.state import PanelState

_THUMBNAIL = 320  # pixels
_FEEDBACK: Mapping[State, Literal[-1, 1]] = {"accepted": 1, "absent": -1, "skipped": -1}


class TargetGrid:
    """The grid of a review; what is decided in it is told.

    Args:
        state: The state.
        decide: Called with content hashes and whether their masks are right.
        deny: Called with the content hashes of images that show nothing.
        open_image: Called with the content hash of an image to work on.
        command: See `ExemplarGallery.on_command`.
    """

    def __init__(
        self,
        state: PanelState,
        *,
        decide: Callable[[Sequence[str], bool], None],
        deny: Callable[[Sequence[str]], None],
        open_image: Callable[[str], None],
        command: Callable[[str], None],
    ) -> None:
        self._state = state
        self._pictures = _TargetPictures(state)
        self.gallery = ExemplarGallery(self._pictures, mode="review", title="All targets", height=520)
        self.gallery.on_decision(decide)
        self.gallery.on_absent(deny)
        self.gallery.on_open(open_image)
        self.gallery.on_command(command)

    def empty(self) -> None:
        """Forget in what order images were shown."""
        self.gallery.items = ()

    def fill(self, reviewed: Sequence[ReviewItem]) -> None:
        """Show these images, those that are shown already where they are, with their masks of this moment."""
        # What is decided goes to the front of the queue, but stays where it is under the curator's eyes.
        old = self._state.queue.outdated
        places = {item.id: place for place, item in enumerate(self.gallery.items)}
        items = [
            GalleryItem(
                one.content_hash,
                one.result.image.file_name + (" · out of date" if one.content_hash in old else ""),
                one.chance,
                kept=one.state not in {"rejected", "absent"},
                feedback=_FEEDBACK.get(one.state, 0),
            )
            for one in sorted(reviewed, key=lambda one: places.get(one.content_hash, len(places)))
        ]
        if tuple(items) != self.gallery.items:
            self.gallery.items = items
        if changed := self._pictures.changed({item.id for item in items}):
            self.gallery.refresh_thumbnails(changed)


class _TargetPictures:
    """Targets under their masks, as `GallerySource` wants them."""

    def __init__(self, state: PanelState) -> None:
        self._state = state
        self._sent: dict[str, object] = {}  # what thumbnails were painted from, by content hash

    def changed(self, known: set[str]) -> list[str]:
        """Images of those known whose thumbnails show something else than the session says."""
        return [one for one, sight in self._sent.items() if one in known and sight != self._sight(one)]

    def thumbnails(self, ids: Sequence[str]) -> Sequence[bytes]:
        """See `GallerySource`."""
        self._sent.update({content_hash: self._sight(content_hash) for content_hash in ids})
        return [self._painted(content_hash, _THUMBNAIL) for content_hash in ids]

    def preview(self, image_id: str) -> bytes:
        """See `GallerySource`."""
        return self._painted(image_id, 4 * _THUMBNAIL)

    def heat_map(self, image_id: str) -> None:  # noqa: ARG002  (the protocol's)
        """There is none."""
        return

    def _sight(self, content_hash: str) -> object:
        session = self._state.session
        layers = self._state.layers(session.result(content_hash))
        return [(layer, session.review(content_hash, layer.name).state) for layer in layers]

    def _painted(self, content_hash: str, longest: int) -> bytes:
        session = self._state.session
        result = session.result(content_hash)
        layers = self._state.layers(result)
        masks = [session.mask(content_hash, layer.name) for layer in layers]
        try:
            pixels = decode(result.path, reduce_to=longest).pixels
        except ImageError:
            return b""
        return painted(pixels, masks, [layer.colour for layer in layers], longest)
