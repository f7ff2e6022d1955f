"""An HTML page about trained and measured models, for people."""

from trainer.report.findings import Findings, Run
from trainer.report.item_map import ItemMap
from trainer.report.page import PredictionReport, Report, noted
from trainer.report.people import People
from trainer.report.slices import Groups

REPORT = "report.html"
"""Its name in a bundle."""

FIGURES = "report.json"
"""The name of its figures in a bundle."""

__all__ = ["FIGURES", "REPORT", "Findings", "Groups", "ItemMap", "People", "PredictionReport", "Report", "Run", "noted"]
