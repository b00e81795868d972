from tiers.checks import check_stored_forms, stored_form_errors


def test_the_projects_own_routes_have_stored_forms_of_their_own() -> None:
    assert check_stored_forms(None) == []


def test_two_routes_with_one_stored_form_are_an_error() -> None:
    errors = stored_form_errors(["api/v1/a_b", "api/v1/a/b", "api/v1/c"])

    assert [error.id for error in errors] == ["tiers.E001"]
    assert "api/v1/a/b and api/v1/a_b" in errors[0].msg
