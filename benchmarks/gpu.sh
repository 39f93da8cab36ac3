#!/usr/bin/env bash
# Everything that needs a GPU, in one command, without a network: install, the tests on the device, compute-sanitizer over a part of
# them, the measurements. Usage: bash benchmarks/gpu.sh
#
#   PYTHON        the interpreter (default python3), which has NumPy, numba, CuPy and, as peers, PyTorch
#   PARTS         of tests, sanitizer, benchmarks (default all three)
#   GPU_SECONDS   when it must be done (default 570): every step has a share, and the measurements take what is left
#   OUT           a folder for the results, the table and the log (default a new one)
#
# A step that fails does not stop the others; the exit status says whether one did. Needs bash and coreutils.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

python=${PYTHON:-python3}
parts=,${PARTS:-tests,sanitizer,benchmarks},
limit=${GPU_SECONDS:-570}
out=${OUT:-$(mktemp -d)}
mkdir -p "$out"
export PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 MPLBACKEND=Agg
failed=()

# left SHARE RESERVE: at most SHARE seconds, with RESERVE of those that are left kept for later; at least 10.
left() {
  local rest=$((limit - SECONDS - $2))
  local found=$(($1 < rest ? $1 : rest))
  echo $((found > 10 ? found : 10))
}

# step HEADING SECONDS COMMAND...: a heading, the command, how long it took. It is interrupted when its seconds are over.
step() {
  local heading=$1 most=$2 start=$SECONDS status=0
  shift 2
  printf '\n=== %s (at most %d s)\n' "$heading" "$most"
  timeout --signal=INT --kill-after=10 "$most" "$@" || status=$?
  if [ "$status" -eq 0 ]; then
    printf -- '--- %s: %d s\n' "$heading" "$((SECONDS - start))"
    return
  fi
  failed+=("$heading")
  printf -- '--- FAILED: %s (%s, %d s)\n' "$heading" \
    "$([ "$status" -eq 124 ] && echo "its time is over" || echo "exit $status")" "$((SECONDS - start))"
}

# has MODULE...: whether all of them can be imported.
has() {
  "$python" -c 'import importlib.util, sys; sys.exit(any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))' "$@"
}

# wanted PART
wanted() {
  case $parts in *,"$1",*) return 0 ;; *) return 1 ;; esac
}

tests() {
  if ! has pytest hypothesis; then
    printf '\n=== Tests on the device: left out, pytest or hypothesis is not installed\n'
    return
  fi
  local files parallel=()
  # files, not the folder: others import what may be missing here
  mapfile -t files < <(grep -l 'pytest.mark.gpu' tests/test_*.py)
  if has xdist; then parallel=(-n 8); fi # most of the time goes into compiling kernels
  step "Tests on the device" "$(left 200 330)" "$python" -m pytest -m gpu -q --tb=short --maxfail=60 -p no:cacheprovider \
    "${parallel[@]}" "${files[@]}"
}

sanitizer() {
  if ! command -v compute-sanitizer >/dev/null || ! has pytest hypothesis; then
    printf '\n=== compute-sanitizer: left out, it or pytest or hypothesis is not installed\n'
    return
  fi
  # without CuPy's pool, whose blocks hide what is read behind the end of an array
  local program='import sys, cupy, pytest; cupy.cuda.set_allocator(None); sys.exit(pytest.main(sys.argv[1:]))' tool
  local some="matmul-24-float16 or matmul-24-float32 or 3x3-28-training-float16 or attention-40x32-training-float16"
  some+=" or lstm-1024-training-float32 or layer-norm-training-float32 or softmax-training-float32 or adam-gpt2"
  some+=" or cross-entropy-training-float32 or embedding-training-float32 or batch-norm-training-float32"
  for tool in memcheck racecheck; do
    step "compute-sanitizer: $tool" "$(left 60 220)" compute-sanitizer --tool "$tool" --error-exitcode 9 --print-limit 20 \
      "$python" -c "$program" -q -m gpu --tb=short -p no:cacheprovider tests/test_cuda_benchmarks.py -k "cpu_does and ($some)"
  done
}

# measure HEADING SECONDS OPTION...: cases are begun until SECONDS are over, and added to the results
measure() {
  local heading=$1 most=$2
  shift 2
  step "$heading" "$((most + 40))" "$python" -m benchmarks --device cuda --rounds 3 --json "$out/gpu.json" --add --within "$most" "$@"
}

benchmarks() {
  local cases=workloads/gpt2-small-bfloat16,workloads/resnet50-bfloat16,workloads/lstm-1024-bfloat16,workloads/gpt2-small-float32 name
  cases+=",matmul-8192,matmul-2048,conv2d-3x3-28-training,conv2d-1x1-14-training,attention-1024x64-bfloat16"
  cases+=",attention-1024x64-training-bfloat16,attention-2048x128-training-bfloat16,attention-2048x64-training-float32"
  cases+=",layer-norm,operations/softmax,rms-norm-training,batch-norm-training,cross-entropy-training,gelu,dropout-training"
  cases+=",embedding-training,adam,lstm-1024-training,gru-1024-training"
  measure "Measurements" "$(left 400 50)" --peers cupy,torch --only "$cases"
  if [ $((limit - SECONDS)) -gt 120 ]; then
    measure "Measurements with torch.compile" "$(left 300 90)" --peers torch,torch-compile --only workloads/gpt2-small-bfloat16
  fi
  if [ -s "$out/gpu.json" ]; then
    "$python" -c 'import pathlib, sys; from benchmarks import run, table; print(table.markdown(run.load(pathlib.Path(sys.argv[1]))))' \
      "$out/gpu.json" | tee "$out/gpu.md"
    name=$("$python" -c 'from benchmarks.__main__ import results_on_cuda; print(results_on_cuda())') && mkdir -p benchmarks/results &&
      cp "$out/gpu.json" "$name" && echo "results: $name and $out/gpu.json"
  fi
}

main() {
  local name
  printf '%s\n' "$(date -u '+%Y-%m-%d %H:%M UTC'), $("$python" --version 2>&1), at most $limit s"
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || echo "nvidia-smi tells nothing"
  for name in cupy torch ml_dtypes pytest hypothesis xdist matplotlib safetensors scipy_openblas64; do
    has "$name" || echo "not installed: $name"
  done
  step "Install the checkout" 60 "$python" -m pip install -q --no-deps --no-build-isolation -e .
  step "Is there a GPU?" 60 "$python" -c '
import chainrule as cr
if not cr.cuda.is_available():
    raise SystemExit(cr.cuda.why_not())
print(cr.cuda.get_device_name(), cr.cuda.compute_capability(), (cr.ones(2, 2, device="cuda") @ cr.ones(2, 2, device="cuda")).tolist())'
  if [ "${#failed[@]}" -eq 0 ]; then # else the tests would run in the simulator
    for name in tests sanitizer benchmarks; do
      if wanted "$name"; then "$name"; fi
    done
  fi
  printf '\n%d s in all. ' "$SECONDS"
  if [ "${#failed[@]}" -gt 0 ]; then
    printf 'FAILED: %s\n' "$(IFS=';'; echo "${failed[*]}")"
    return 1
  fi
  echo "Everything passed."
}

main 2>&1 | tee "$out/gpu.log"
exit "${PIPESTATUS[0]}"
