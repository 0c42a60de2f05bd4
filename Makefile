# SPDX-FileCopyrightText: The kvtoll authors
# SPDX-License-Identifier: Apache-2.0
# make demo | test | build | check | sanitize | deps
BUILD ?= build/release
JOBS ?= $(shell nproc)

.PHONY: demo test build check sanitize deps clean

demo: build
	$(BUILD)/kvtoll run demo

test: build
	ctest --test-dir $(BUILD) --output-on-failure -j $(JOBS)

build: deps
	cmake -S . -B $(BUILD) -G Ninja -DCMAKE_BUILD_TYPE=Release
	cmake --build $(BUILD) -j $(JOBS)

check: deps
	scripts/check_layers
	scripts/check_headers
	scripts/check_format

sanitize: deps
	cmake -S . -B build/sanitize -G Ninja -DCMAKE_BUILD_TYPE=Debug -DKVTOLL_SANITIZE=ON -DKVTOLL_CUDA=OFF -DKVTOLL_BENCH=OFF
	cmake --build build/sanitize -j $(JOBS)
	ctest --test-dir build/sanitize --output-on-failure -j $(JOBS) -L cpu

deps:
	scripts/install_deps

clean:
	rm -rf build
