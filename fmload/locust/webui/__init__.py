"""The Tokens tab in Locust's own web UI: documented template arguments for the table, one script for the charts.

The stock bundle shows extended tabs, tables and downloads (Locust's `extend_web_ui` example); it has no hook for
charts, so a script is added to the page. Should the script fail, the table still works.
"""

from fmload.locust.webui.guard import Guard
from fmload.locust.webui.tab import install
from fmload.locust.webui.view import LiveView

__all__ = ["Guard", "LiveView", "install"]
