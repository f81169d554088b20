"""What the colour tags of two videos say of comparing them."""

from supervegan_jax.video_input.source import Source

_BT2020_PRIMARIES = 9
_HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
_UNSPECIFIED = 2


def compare_pictures(reference: Source, distorted: Source) -> list[str]:
    """Refuses what cannot be compared, and tells what is compared although it is not stored alike.

    Returns:
      Notes for the user, one line each.

    Raises:
      ValueError: sizes, rotations, dynamic ranges or gamuts differ.
    """
    sizes = [(source.format.width, source.format.height) for source in (reference, distorted)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{reference.name} is {sizes[0][0]}x{sizes[0][1]}, {distorted.name} is "
            f"{sizes[1][0]}x{sizes[1][1]}; only pictures of one size can be compared"
        )
    if reference.picture.display_matrix != distorted.picture.display_matrix:
        raise ValueError(
            f"{reference.name} and {distorted.name} are to be shown turned differently"
        )
    _refuse_other_light(reference, distorted)
    return _stored_differently(reference, distorted)


def _refuse_other_light(reference: Source, distorted: Source) -> None:
    kinds = []
    for source in (reference, distorted):
        curve = _HIGH_DYNAMIC_RANGE.get(source.picture.transfer, "standard dynamic range")
        gamut = "BT.2020" if source.picture.primaries == _BT2020_PRIMARIES else "BT.709 or 601"
        kinds.append((curve, gamut))
    for index, what in enumerate(("transfer", "primaries")):
        if kinds[0][index] != kinds[1][index]:
            raise ValueError(
                f"{reference.name} has {kinds[0][index]} {what} and {distorted.name} "
                f"{kinds[1][index]}; convert one of them first"
            )


def _stored_differently(reference: Source, distorted: Source) -> list[str]:
    described = [
        f"{source.format.matrix} {'full' if source.format.full_range else 'limited'} range"
        for source in (reference, distorted)
    ]
    notes = []
    if described[0] != described[1]:
        notes.append(
            f"{reference.name} is {described[0]}, {distorted.name} is {described[1]} (by their "
            "tags, or by the size where there is none); each is turned into RGB by its own"
        )
    depths = reference.format.bit_depth, distorted.format.bit_depth
    if depths[0] != depths[1]:
        notes.append(
            f"{reference.name} has {depths[0]} bits a sample, {distorted.name} {depths[1]}; each "
            "is scored as RGB of its own depth"
        )
    primaries = reference.picture.primaries, distorted.picture.primaries
    if primaries[0] != primaries[1] and _UNSPECIFIED not in primaries:
        notes.append(
            f"the colour primaries are tagged {primaries[0]} and {primaries[1]} "
            "(ISO/IEC 23001-8); that difference is not converted"
        )
    return notes
