# The front door. Each goal calls a script or CMake; what they do is in tools/ and CMakePresets.json.
.DEFAULT_GOAL := help
.PHONY: help run model test lint bench load interop ci install clean

# The scripts end with 130 after Ctrl-C; that is no error to report.
quietly = @trap : INT; $(1) || { status=$$?; [ $$status -eq 130 ] || exit $$status; }

help: ## list the goals
	@echo "kwaai: language models on the machines people have"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: ## install what is missing, build, fetch a small model once, write a story with four nodes
	$(call quietly,tools/run.sh)

model: ## fetch the small model only
	$(call quietly,tools/setup.sh run && tools/fetch_model.sh)

test: ## build and run the fast tests
	$(call quietly,tools/test.sh)

lint: ## check layers, format, sizes, calls, words and coroutine operands
	$(call quietly,tools/lint/all.sh)

bench: ## measure what a hop costs, and compare speed with go- and rust-libp2p and llama.cpp (builds them the first time: about half an hour)
	$(call quietly,tools/bench.sh)

load: ## hold ten thousand connections, then attack a listener that must serve others meanwhile
	$(call quietly,tools/load.sh)

interop: ## run the tests against other programs and libraries
	$(call quietly,tools/interop.sh)

ci: ## what continuous integration runs after make test: compilers, sanitizers, lints, WebAssembly, fuzzing
	$(call quietly,tools/ci.sh)

install: ## install the program and the library (PREFIX=/usr/local)
	@tools/setup.sh run && tools/build.sh release && cmake --install build/release --prefix "$(or $(PREFIX),/usr/local)"

clean: ## remove everything that was built
	@rm -rf build
