# The one door to every task. `make help` lists them. What a fresh Debian machine lacks is installed by the target that
# needs it, by apt, and said.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.PHONY: build fixtures demo demo-image test chaos goals attack smoke-guest test-guest test-package test-power-cuts validate-vagrant lint bench bench-launch bench-pull bench-services bench-api fuzz fuzz-api audit documents deb install clean help

PREFIX ?= /usr/local
UNITDIR ?= /etc/systemd/system
UNITS := berth.service berth.socket berth-resume.service berth-tasks.service berth.slice berth@.service
CARGO_DEB := 3.8.0
BUILT := target/x86_64-unknown-linux-gnu/release/berth
BERTH := target/release/berth

# packages PACKAGE...: installs by apt those that are absent.
define packages
@missing=; \
for package in $(1); do \
    [ "$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || missing+=" $$package"; \
done; \
[ -z "$$missing" ] || { \
    echo "installing by apt:$$missing"; \
    [ "$$(id -u)" = 0 ] || { echo "that needs root: apt-get install$$missing" >&2; exit 1; }; \
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$missing >/dev/null; \
}
endef

define root
@[ "$$(id -u)" = 0 ] || { echo "make $@ needs root" >&2; exit 1; }
endef

build: ## target/release/berth, one static program
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust 1.90 or later (rustup.rs)" >&2; exit 1; }
	$(call packages,gcc libc6-dev pkg-config libseccomp-dev)
	cargo build --release --locked
	@mkdir -p $(dir $(BERTH)) && ln -f $(BUILT) $(BERTH)

fixtures: ## the images that tests and examples run, as OCI layouts under target/fixtures/
	$(call packages,zstd)
	@rootfs-fixtures/make

demo: ## a real nginx in its own network namespace, under its own limits
	$(call root)
	$(call packages,gcc libc6-dev pkg-config libseccomp-dev)
	@$(MAKE) --no-print-directory -j2 build demo-image
	@examples/demo

demo-image:
	@rootfs-fixtures/make nginx

test: build fixtures ## both suites; the second one needs root
	$(if $(filter 0,$(shell id -u)),$(call packages,curl openssl skopeo python3-venv e2fsprogs xfsprogs nftables iproute2 tmux))
	@[ "$$(id -u)" != 0 ] || tests/support/venv
	@.ci/suites

chaos: fixtures ## something goes wrong at every step, TIME= seconds (300), SEED= repeats a run; needs root
	$(call root)
	$(call packages,gcc libc6-dev pkg-config libseccomp-dev e2fsprogs)
	CHAOS_SECONDS=$(or $(TIME),300) CHAOS_SEED=$(or $(SEED),1) cargo test --quiet --locked --features failpoints --test chaos

# name=how often when it is meant seriously; a smaller machine takes GOALS=10, a tenth of all of them
goals: build fixtures ## kills, stops, cycles, changed downloads, damages to the store: one table; GOALS= in percent (100); needs root
	$(call root)
	@part() { echo $$(( $$1 * $(or $(GOALS),100) / 100 )); }; \
	REQUIRE_ROOT=1 BERTH_BIN="$(CURDIR)/target/release/berth" CYCLES=$$(part 10000) DAMAGES=$$(part 1000) \
	GOAL_LOOP_KILLS=$$(part 1000) GOAL_PAIR_KILLS=$$(part 200) GOAL_STOPS=$$(part 200) GOAL_DOWNLOADS=$$(part 10000) \
	GOAL_CRASHERS=$$(part 1000) GOAL_CRASH_SECONDS=60 \
	cargo test --quiet --locked --test root -- --test-threads=1 goals:: cycles:: damage:: 2>&1 | tee target/goals.log
	@echo; echo "$$(date -I), GOALS=$(or $(GOALS),100), $$(target/release/berth --version), Linux $$(uname -r), $$(nproc) CPUs, load $$(cut -d' ' -f1 /proc/loadavg)"
	@sed -n 's/^.*goal: //p' target/goals.log

attack: build fixtures ## what is tried against the host and other tasks, each beside its control: one table; needs root
	$(call root)
	$(call packages,iproute2 nftables)
	@REQUIRE_ROOT=1 BERTH_BIN="$(CURDIR)/target/release/berth" cargo test --quiet --locked --test root -- \
		attacks:: floor:: hostile:: first_process:: edges::hostile process::every_form process::a_passwd agent::probes volumes::hostile 2>&1 | \
		tee target/attack.log | awk '!sub(/^.*attack: /, "")' >&2
	@sed -n 's/^.*attack: //p' target/attack.log | awk '{ print } / control: refused/ { absent++ } \
		END { print NR " attacks: none passes; " NR - absent " controls do, " absent + 0 " ask for what this kernel does not have" }'

smoke-guest: build fixtures ## a task from image to clean end in a small virtual machine with cgroup v2; needs no root
	$(call packages,qemu-system-x86 cpio kmod busybox-static binutils e2fsprogs)
	@vagrant/smoke

test-guest: build fixtures ## the second suite on the reference host, a virtual machine: cgroup v2, systemd, Debian's kernel
	$(call root)
	$(call packages,qemu-system-x86 mmdebstrap e2fsprogs)
	@vagrant/root-suite

test-package: deb ## the package on the reference host: its units, an upgrade, a reset of the machine
	$(call root)
	$(call packages,qemu-system-x86 mmdebstrap e2fsprogs)
	@vagrant/package

test-power-cuts: deb ## the reference host loses its power CUTS= times (20) while clients write: nothing that was acknowledged may be lost
	$(call root)
	$(call packages,qemu-system-x86 mmdebstrap e2fsprogs python3)
	@vagrant/power-cuts $(or $(CUTS),20)

# vagrant-libvirt, since Vagrant judges a file for a provider, and Debian has this one.
validate-vagrant: ## whether Vagrant takes vagrant/Vagrantfile
	$(call packages,vagrant vagrant-libvirt)
	@cd vagrant && VAGRANT_HOME="$(CURDIR)/target/vagrant" VAGRANT_DOTFILE_PATH="$(CURDIR)/target/vagrant/machines" vagrant validate

lint: ## formatting and clippy, warnings are errors
	$(call packages,gcc libc6-dev pkg-config libseccomp-dev)
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --features failpoints -- -D warnings

bench: bench-launch bench-pull bench-services bench-api ## berth beside crun, runc, podman, docker and skopeo; N= how many samples of each

bench-launch: build ## a launch beside crun, runc, podman and docker; many callers; up to a thousand tasks; plots; N= TASKS= SECONDS= FAVORDYNMODS=1
	$(call root)
	$(call packages,crun runc podman netavark docker.io containerd)
	@rootfs-fixtures/make probe
	cargo run --quiet --release --locked --package bench --bin launch

bench-pull: build
	$(call root)
	$(call packages,podman netavark skopeo)
	@rootfs-fixtures/make large registry
	cargo run --quiet --release --locked --package bench --bin pull

bench-services: build ## how soon a killed task is replaced, a hundred tasks, and what they cost when nothing happens
	$(call root)
	@rootfs-fixtures/make probe
	cargo run --quiet --release --locked --package bench --bin services

bench-api: build ## what the endpoint adds to an operation, and how many requests it answers
	$(call root)
	$(call packages,iproute2)
	@rootfs-fixtures/make probe
	cargo run --quiet --release --locked --package bench --bin api

fuzz: fuzz-api ## the same, and a million mutated definitions, documents of images, requests of tasks, answers of the kernel; FUZZ_INPUTS=
	FUZZ_INPUTS=$${FUZZ_INPUTS:-1000000} cargo test --release --locked --lib --test it no_mutated

audit: ## crates with known defects, by the database of rustsec.org; needs the network
	@cargo audit --version >/dev/null 2>&1 || { echo "installing cargo-audit by cargo"; cargo install --quiet --locked cargo-audit; }
	cargo audit

fuzz-api: ## a million malformed requests, 100,000 more over sockets, and 100,000 good and forged signatures; FUZZ_SEED= for other ones
	$(call packages,python3-venv)
	FUZZ_REQUESTS=$${FUZZ_REQUESTS:-1000000} FUZZ_SIGNATURES=$${FUZZ_SIGNATURES:-100000} FUZZ_SOCKETS=$${FUZZ_SOCKETS:-100000} \
		cargo test --release --locked --test it -- endpoint:: --nocapture --test-threads=1

documents: build
	@mkdir -p target/dist/completions target/dist/man && rm -f target/dist/man/*
	@$(BERTH) man target/dist/man
	@$(BERTH) completions bash >target/dist/completions/berth.bash
	@$(BERTH) completions zsh >target/dist/completions/_berth
	@$(BERTH) completions fish >target/dist/completions/berth.fish

deb: documents ## target/debian/berth_VERSION_ARCHITECTURE.deb: the program, units, manual pages, completions, configuration
	$(call packages,dpkg-dev xz-utils lintian)
	@cargo deb --version >/dev/null 2>&1 || { echo "installing cargo-deb $(CARGO_DEB) by cargo"; \
	    cargo install --quiet --locked cargo-deb --version $(CARGO_DEB); }
	@cargo deb --quiet --no-build --no-strip --output target/debian/
	@lintian --allow-root --fail-on error,warning target/debian/*.deb
	@ls -l target/debian/*.deb

install: documents ## to $(DESTDIR)$(PREFIX): the program, manual pages, completions; units that run it, and /etc/berth/config.toml
	install -D -m 755 $(BERTH) $(DESTDIR)$(PREFIX)/bin/berth
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 target/dist/man/*.1
	install -D -m 644 target/dist/completions/berth.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/berth
	install -D -m 644 target/dist/completions/_berth $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_berth
	install -D -m 644 target/dist/completions/berth.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/berth.fish
	@for unit in $(UNITS); do \
	    install -d $(DESTDIR)$(UNITDIR) && sed 's|/usr/bin/berth|$(PREFIX)/bin/berth|' dist/$$unit >$(DESTDIR)$(UNITDIR)/$$unit; \
	done
	install -D -m 644 dist/modules-load.conf $(DESTDIR)/usr/lib/modules-load.d/berth.conf
	@[ -e $(DESTDIR)/etc/berth/config.toml ] || install -D -m 644 dist/config.toml $(DESTDIR)/etc/berth/config.toml

clean: ## everything that was built; tasks and their state are not touched
	cargo clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
