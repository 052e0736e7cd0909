#!/usr/bin/env bash
# Qualifies a GPU for Colophon: runs the tests on it, then the benches, and writes one result, as
# JSON and as a table.
#   ./run.sh [--device N] [--quick] [--out DIR]
# Exit status: 0 all passed; 1 something failed; 2 usage; 3 no GPU to use. More in README.txt.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LC_ALL=C
out=$PWD/colophon-gpu-result
quick=()
while (($#)); do
  case $1 in
    --device | --out)
      (($# > 1)) || { echo "run.sh: $1 needs a value (see --help)" >&2 && exit 2; }
      if [[ $1 == --out ]]; then
        out=$2
      else
        # For all programs, the CUDA driver and nvidia-smi alike.
        export CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=$2
      fi
      shift
      ;;
    --quick) quick=(--quick) ;;
    -h | --help) sed -n '2,5s/^# *//p' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "run.sh: unknown argument '$1' (see --help)" >&2 && exit 2 ;;
  esac
  shift
done
if [[ -e $out/result.json || -e $out/result.txt ]]; then
  echo "run.sh: $out has a result already: give another folder with --out" >&2
  exit 2
fi
export COLOPHON_BACKEND=cuda COLOPHON_VECTORS_DIR=$here/vectors
export CUDA_CACHE_PATH=/nonexistent # until there is a folder of ours to write to
ulimit -c 0

# --- the device ---
device=$("$here/bin/colophon_gpu_bench" --describe 2>&1)
status=$?
if ((status == 3)); then
  echo "run.sh: there is no GPU to qualify here" >&2
  echo "$device" >&2
  exit 3
fi
if ((status != 0)); then
  echo "run.sh: the GPU cannot be used: $device" >&2
  if ((status >= 126)) || [[ $device == *GLIBC_* ]]; then exit 1; fi # nothing in here will start
fi
if ! mkdir -p "$out"; then exit 2; fi
out=$(cd "$out" && pwd)
export CUDA_CACHE_PATH=$out/cuda-cache
field() { sed -n "s/^$1 //p" <<<"$device"; }
pci=$(field pci)

# --- what nvidia-smi knows, where it is ---
fields=(driver_version vbios_version power.limit clocks.max.sm clocks.max.mem clocks.sm clocks.mem
  temperature.gpu power.draw ecc.mode.current)
smi() { nvidia-smi -i "$pci" --query-gpu="$1" --format=csv,noheader 2>/dev/null; }
has_smi() { command -v nvidia-smi >/dev/null && smi driver_version >/dev/null; }
json() { # a string
  local text=${1//\\/\\\\}
  printf '"%s"' "$(tr -d '\000-\037\177-\377' <<<"${text//\"/\\\"}")"
}
smi_json() {
  local name separator=
  has_smi || { printf 'null' && return; }
  printf '{'
  for name in "${fields[@]}"; do
    printf '%s%s:%s' "$separator" "$(json "$name")" "$(json "$(smi "$name")")"
    separator=,
  done
  printf '}'
}
smi_text() {
  local name
  has_smi || { echo "nvidia-smi is not here" && return; }
  for name in "${fields[@]}"; do printf '%s %s; ' "$name" "$(smi "$name")"; done
  echo
}

date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
commit=$(head -n 1 "$here/commit")
host=$(uname -srm)
cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
smi_before=$(smi_json)
text_before=$(smi_text)
emulated=false
[[ $(field name) != *emulator* ]] || emulated=true

# --- tests ---
failed=0
tests_json=
tests_text=
run_test() {
  local name=$1 log=$out/$1.log started=$SECONDS status outcome=passed why='' ran skipped
  "$here/bin/$name" >"$log" 2>&1 </dev/null
  status=$?
  ran=$(sed -n 's/^\[==========\] \([0-9]*\) tests\{0,1\} from .* ran\..*/\1/p' "$log")
  skipped=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) tests\{0,1\}[,.].*/\1/p' "$log")
  if ((status != 0)); then
    outcome=failed why="exit status $status"
    ((status != 77)) || why="vectors are missing"
  elif [[ ${ran:-0} == 0 ]]; then
    outcome=failed why="it ran no test"
  elif grep -q '^cuda is not compared' "$log"; then
    outcome=failed why="the GPU took no part: $(grep -m 1 '^cuda is not compared' "$log")"
  fi
  [[ $outcome == passed ]] || failed=1
  tests_json+="${tests_json:+,}{\"program\":$(json "$name"),\"outcome\":\"$outcome\",\"why\":$(json "$why")"
  tests_json+=",\"tests\":${ran:-0},\"skipped\":${skipped:-0},\"seconds\":$((SECONDS - started))}"
  tests_text+=$(printf '%-26s %-7s %3d tests, %d skipped, %d s %s' "$name" "$outcome" "${ran:-0}" "${skipped:-0}" \
    $((SECONDS - started)) "$why")$'\n'
  echo "$name: $outcome ${why:+($why; see $log)}"
}
echo "GPU: $(field name); the result goes to $out"
for program in lib_test lib_vectors_test p256_differential_test; do
  echo "running $program"
  run_test "$program"
done

# --- benches ---
echo "running colophon_gpu_bench"
sampler=
if has_smi; then
  nvidia-smi -i "$pci" --query-gpu=timestamp,clocks.sm,clocks.mem,temperature.gpu,power.draw --format=csv -l 1 \
    >"$out/clocks.csv" 2>/dev/null &
  sampler=$!
fi
"$here/bin/colophon_gpu_bench" "${quick[@]}" --json "$out/bench.json" >"$out/bench.txt" 2>"$out/bench.log" </dev/null
bench_status=$?
[[ -z $sampler ]] || { kill "$sampler" && wait "$sampler"; } 2>/dev/null
bench_outcome=passed
if ((bench_status != 0)); then
  bench_outcome=failed failed=1
fi
echo "colophon_gpu_bench: $bench_outcome"

# --- the result ---
outcome=passed
((!failed)) || outcome=failed
{
  printf '{"format":"colophon-gpu-result-1","outcome":"%s","emulated":%s,\n' "$outcome" "$emulated"
  printf ' "commit":%s,"date":%s,"host":%s,"cpu":%s,\n' "$(json "$commit")" "$(json "$date")" "$(json "$host")" \
    "$(json "$cpu")"
  printf ' "device":%s,"compute_capability":%s,"pci":%s,"visible_devices":%s,\n' "$(json "$(field name)")" \
    "$(json "$(field compute_capability)")" "$(json "$pci")" "$(json "${CUDA_VISIBLE_DEVICES-}")"
  printf ' "nvidia_smi_before":%s,\n "nvidia_smi_after":%s,\n' "$smi_before" "$(smi_json)"
  printf ' "gtest_filter":%s,"test_long":%s,\n' "$(json "${GTEST_FILTER-}")" "$(json "${COLOPHON_TEST_LONG-}")"
  printf ' "tests":[%s],\n "bench_outcome":"%s","bench_status":%d,\n "bench":' "$tests_json" "$bench_outcome" \
    "$bench_status"
  if [[ -s $out/bench.json ]]; then cat "$out/bench.json"; else echo null; fi
  echo '}'
} >"$out/result.json"
{
  [[ $emulated == false ]] || echo "EMULATED: no GPU was there. Times and rates mean nothing."
  echo "Colophon GPU bundle, commit $commit, $date: $outcome"
  echo "host      $host; $cpu"
  echo "GPU       $(field name), compute capability $(field compute_capability), $pci"
  echo "before    $text_before"
  echo "after     $(smi_text)"
  [[ -z ${GTEST_FILTER-} ]] || echo "NOT ALL TESTS: GTEST_FILTER=$GTEST_FILTER"
  echo
  printf '%s\n' "$tests_text"
  echo "colophon_gpu_bench         $bench_outcome (exit status $bench_status)"
  echo
  cat "$out/bench.txt"
  ((bench_status == 0)) || { echo && tail -n 5 "$out/bench.log"; }
} >"$out/result.txt"
rm -f "$out/bench.json" "$out/bench.txt"
echo "$outcome: $out/result.json, $out/result.txt"
exit "$failed"
