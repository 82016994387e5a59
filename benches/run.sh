#!/usr/bin/env bash
# Runs every benchmark, one after the other, and keeps what each says in
# target/bench/. On a machine that has nothing else to do: a benchmark that
# finds it busy says so in place of a figure. It takes about half an hour.
#
#   bash benches/run.sh             # all of them
#   bash benches/run.sh hot_path    # some of them
set -uo pipefail
cd "$(dirname "$0")/.."

# What a request costs is measured without any feature, as most hosts build it.
plain="hot_path instructions http contention"
# Seconds that each may take.
limit() {
  case $1 in
    hot_path) echo 420 ;;
    due) echo 1200 ;;
    timing) echo 400 ;;
    http) echo 180 ;;
    revocation) echo 480 ;;
    stores) echo 420 ;;
    import) echo 400 ;;
    gateways) echo 420 ;;
    *) echo 150 ;;
  esac
}

mkdir -p target/bench
names=$(cargo metadata --no-deps --format-version 1 | python3 -c '
import json, sys
packages = json.load(sys.stdin)["packages"]
targets = [target for package in packages for target in package["targets"]]
print(*(target["name"] for target in targets if "bench" in target["kind"]))')
failed=0

run() {
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  timeout "$(limit "$name")" cargo bench --locked "$@" 2>target/bench/"$name".log | tee target/bench/"$name".md
  if [ "${PIPESTATUS[0]}" != 0 ]; then
    echo "$name failed or took too long; see target/bench/$name.log"
    failed=1
  fi
}

chosen() { [ "$#" = 1 ] || [[ " ${*:2} " == *" $1 "* ]]; }

# Built first, so that no measurement shares the machine with a compiler.
for name in $plain; do builds+=(--bench "$name"); done
cargo bench --locked --no-run "${builds[@]}" || exit 1
for name in $plain; do
  chosen "$name" "$@" || continue
  case $name in
    hot_path) run "$name" --bench "$name" -- --ten-million ;;
    *) run "$name" --bench "$name" ;;
  esac
done

builds=()
for name in $names; do [[ " $plain " == *" $name "* ]] || builds+=(--bench "$name"); done
cargo bench --locked --no-run --workspace --all-features "${builds[@]}" || exit 1
for name in $names; do
  [[ " $plain " == *" $name "* ]] && continue
  chosen "$name" "$@" || continue
  run "$name" --workspace --all-features --bench "$name"
done

printf '\n== closing lines\n'
for told in target/bench/*.md; do tail -n 1 "$told"; done
exit "$failed"
