"""What a file says of itself: facts that cannot be are refused in a sentence.

The page and the app are held to the same table.
"""

import json

import pytest
from facts_table import GOOD
from facts_table import bad_facts
from facts_table import changed
from facts_table import empty_file

from dla_keras.inference.tflite_facts import read_facts

BAD = bad_facts()


def test_good_facts_are_read():
    assert read_facts(empty_file(json.dumps(GOOD))) == GOOD
    older = changed(("input", "fit"), None)
    assert read_facts(empty_file(json.dumps(older))) == older


@pytest.mark.parametrize("name", BAD)
def test_bad_facts_are_refused_for_their_own_reason(name):
    text, word = BAD[name]
    with pytest.raises(ValueError, match=word) as caught:
        read_facts(empty_file(text))
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    assert len(message) < 300


def test_every_single_value_may_be_another_without_a_traceback():
    places = [(key,) for key in GOOD]
    places += [("input", key) for key in GOOD["input"]]
    places += [("outputs", 0, key) for key in GOOD["outputs"][0]]
    places += [("classes", 1, key) for key in GOOD["classes"][1]]
    values = (None, True, -1, 0.5, 1e400, "", "x", [], [None], {}, {"a": []})
    taken = 0
    for place in places:
        for value in values:
            try:
                read_facts(empty_file(json.dumps(changed(place, value))))
                taken += 1
            except ValueError:
                continue
    # What may be missing, or any line of text.
    assert 0 < taken < 0.2 * len(places) * len(values)
