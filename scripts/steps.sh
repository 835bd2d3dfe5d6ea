# Sourced by the scripts of this folder: steps with their duration, and one sentence when it ends badly.
# Every script runs from the top of the project, whatever folder it was called from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
umask 022

now_ms() { printf '%s' "$(($(date +%s%N) / 1000000))"; }

# fail SENTENCE...: why it cannot go on, in one sentence.
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# step TITLE COMMAND...: runs it and says how long it took; its output is shown only where it fails.
step() {
  local title=$1 started log out in
  shift
  started=$(now_ms)
  log=$(mktemp)
  # Without a name, so that nothing stays behind a Ctrl-C.
  exec {out}>"$log" {in}<"$log"
  rm -f "$log"
  # In the background and waited for: as a condition, a function would go on after what fails in it.
  heedful "$@" >&$out 2>&1 </dev/null &
  if ! wait $!; then
    cat <&$in >&2
    fail "Cannot $title: '$*' failed with the words above"
  fi
  exec {out}>&- {in}<&-
  said "$title" "$started"
}

# A program that bash starts in the background is deaf to Ctrl-C, unless a function starts it.
heedful() { "$@"; }

# said TITLE STARTED_MS: the line of a finished step.
said() {
  local ms=$(($(now_ms) - $2))
  printf '  %-58s %4d.%d s\n' "$1" $((ms / 1000)) $((ms % 1000 / 100))
}

bun() { node_modules/.bin/bun "$@"; }
