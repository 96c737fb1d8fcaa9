"""Who wins, from figures made up so that it is known."""

from benchmarks.winners import leaders, medians, tables


def metric(algorithm: str, cells: str, value: float) -> dict[str, object]:
    return {"name": f"{algorithm}__case:pu200_2_links_cells_{cells}", "value": value}


FIGURES = [
    metric("words", "1-3", 0.0), metric("autoencoder", "1-3", 0.0), metric("best_choice", "1-3", 0.0),
    metric("autoencoder", "4-7", 0.6), metric("best_choice", "4-7", 0.2), metric("threshold_sum", "4-7", 0.1),
    metric("autoencoder", "30_and_more", 0.9), metric("autoencoder_4x4x3", "30_and_more", 0.8),
    metric("autoencoder_search", "30_and_more", 0.41), metric("autoencoder_search", "4-7", 0.15),
    metric("best_choice", "30_and_more", 0.82), metric("best_choice_weighted", "30_and_more", 0.1),
    {"name": "best__case:pu200_2_links_cells_4-7", "value": "threshold sum"},
]  # fmt: skip


def test_leaders_are_level_within_three_percent() -> None:
    assert leaders({"repeater": 1.0, "best_choice": 0.98, "autoencoder": 1.01}) == ["best_choice", "repeater"]
    assert leaders({"repeater": 1.0, "best_choice": 0.98}, ["repeater"]) == ["repeater"]


def test_tables_say_who_leads_where() -> None:
    assert list(medians(FIGURES)["pu200"][2]) == ["1-3", "4-7", "30 and more"]
    (table,) = tables(FIGURES)["tables"]
    assert table["title"] == "pile-up 200"
    assert table["rows"] == [
        [
            "2",
            "autoencoder = best choice: 1-3; best choice: 4-7; autoencoder 4x4x3 = best choice: 30 and more",
            "1, 3, 0.98",
            "autoencoder = best choice: 1-3; threshold sum: 4-7; autoencoder 4x4x3 = best choice: 30 and more",
            "autoencoder = best choice: 1-3; threshold sum: 4-7; autoencoder search: 30 and more",
            "1, 1.5, 0.5",
        ]
    ]
