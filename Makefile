# Everything a newcomer needs: `make demo` to try txraker, `make test` to test it.
PYTHON ?= python3
VENV := .venv
DEMO_DATA := demo_data

.PHONY: demo test check docs clean

demo: $(VENV)/installed
	@echo
	@echo "A virtual printer is served at http://127.0.0.1:7125 - open, for example:"
	@echo "  http://127.0.0.1:7125/server/info"
	@echo "  http://127.0.0.1:7125/printer/objects/query?extruder&heater_bed&print_stats"
	@echo "  http://127.0.0.1:7125/server/temperature_store"
	@echo "and a websocket for JSON-RPC at ws://127.0.0.1:7125/websocket. Ctrl-C ends it."
	@echo
	$(VENV)/bin/twistd --nodaemon --pidfile= txraker --data-path=$(DEMO_DATA) --simulate

test: $(VENV)/installed-for-development
	$(VENV)/bin/pytest

check: $(VENV)/installed-for-development
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m txraker.describe --check docs/api

docs: $(VENV)/installed
	$(VENV)/bin/python -m txraker.describe docs/api

clean:
	rm -rf $(VENV) $(DEMO_DATA) build *.egg-info

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "txraker needs Python 3.11 or newer; name one by: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 1; }

$(VENV)/installed: $(VENV)/bin/pip pyproject.toml
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-for-development: $(VENV)/bin/pip pyproject.toml
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
