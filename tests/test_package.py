import facelab as fl


def test_every_name_of_the_map_is_where_it_says():
    for name in fl.__all__:
        value = getattr(fl, name)
        assert value.__name__ == name
        assert value.__doc__


def test_the_map_is_what_help_shows():
    assert set(fl.__all__) <= set(dir(fl))
