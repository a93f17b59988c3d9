"""The public programme: what papers claim, computed again, with numbers, figures and a verdict.

``python -m validation`` runs every case and writes one HTML page.  A case is a module with a docstring and a
function ``run(record, full)``; `record` takes claims, figures and tables.
"""

CASES = (
    "martin2024",
    "martin2026",
    "saad_solla1995",
    "goldt2019",
    "arnaboldi2023",
    "bocchi2026",
    "veiga2022",
    "sarao_mannelli2020",
    "frei2022",
    "refinetti2021",
    "boursier2024",
    "boursier2025",
    "margin_lyu_li",
    "margin_telgarsky",
    "margin_tsilivis",
    "margin_cai",
    "margin_schechtman",
    "guess_and_check",
    "study_recovery",
    "study_escape",
    "study_limits",
    "cross_narrow",
    "cross_mean_field",
    "cross_gaussian",
    "cross_descent",
    "cross_chain",
    "mean_field_limit",
    "berthier2024",
    "abbe2022",
    "scaling_laws",
    "single_unit",
    "calibration",
    "calibration_settings",
)
