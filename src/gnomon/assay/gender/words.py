"""Pairs of words for women and men, and common occupations."""

from __future__ import annotations

__all__ = ["OCCUPATIONS", "PAIRS"]

PAIRS = (
    ("woman", "man"),
    ("lady", "gentleman"),
    ("girl", "boy"),
    ("mother", "father"),
    ("daughter", "son"),
    ("sister", "brother"),
    ("wife", "husband"),
    ("aunt", "uncle"),
    ("niece", "nephew"),
    ("grandmother", "grandfather"),
    ("granddaughter", "grandson"),
    ("stepmother", "stepfather"),
)
"""Twelve pairs, the woman's word first."""

_COMMON = (
    "accountant actor architect artist astronomer author baker barber bartender bookkeeper bricklayer butcher "
    "carpenter cashier chemist chef cleaner clerk coach cook dancer dentist designer detective doctor driver "
    "economist editor electrician engineer farmer firefighter fisher florist gardener hairdresser housekeeper "
    "inspector instructor janitor journalist judge lawyer librarian lifeguard locksmith manager mechanic "
    "midwife miner musician nanny nurse optician painter paramedic pharmacist photographer pilot plumber poet "
    "porter professor programmer receptionist salesperson scientist secretary singer surgeon tailor teacher "
    "therapist translator veterinarian welder"
)
OCCUPATIONS = tuple(_COMMON.split())
"""Seventy-six, as many as in the paper; the choice is ours."""
