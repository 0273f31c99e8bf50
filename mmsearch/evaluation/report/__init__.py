"""The parts of the HTML report; report_html.py puts them together."""
