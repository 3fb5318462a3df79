#!/usr/bin/env bash
# Runs the stories of the official SDKs, each against an instance of its own.
#   OFFHOOK_BIN=target/debug/offhook conformance/sdk/run.sh [python node go java cli]
# With OFFHOOK_AT=URL all against that one, which runs already.
# Dependencies go to target/sdk/<language>, wire logs to $WIRE_LOG_DIR or target/sdk.
set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
out="$top/target/sdk"
wire=${WIRE_LOG_DIR:-$out}
bin=${OFFHOOK_BIN:?set OFFHOOK_BIN to the offhook binary}
bin=$(realpath "$bin")
export OFFHOOK_BIN=$bin
mkdir -p "$out" "$wire"

temp=$(mktemp -d)
pid=
stop() {
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        pid=
    fi
}
trap 'stop; rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

free_port() {
    node -e 's=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'
}

# Reads one field of the instance's environment.
field() {
    node -e 'console.log(JSON.parse(process.argv[1])[process.argv[2]])' "$1" "$2"
}

# True when the language's dependencies were installed from these very files.
is_fresh() {
    local lang=$1
    shift
    cat "$@" | cmp -s - "$out/$lang/installed"
}

mark() {
    local lang=$1
    shift
    cat "$@" >"$out/$lang/installed"
}

# Installs npm packages beside a copy of the sources, so that these resolve them.
npm_install() {
    local lang=$1
    mkdir -p "$out/$lang"
    cp "$here/$lang"/* "$out/$lang/"
    if ! is_fresh "$lang" "$here/$lang/package.json"; then
        npm install --prefix "$out/$lang" --no-audit --no-fund --no-package-lock --loglevel=error &&
            mark "$lang" "$here/$lang/package.json"
    fi
}

install() {
    case $1 in
    python)
        is_fresh python "$here/python/requirements.txt" ||
            { python3 -m venv "$out/python" &&
                "$out/python/bin/pip" install -q --disable-pip-version-check -r "$here/python/requirements.txt" &&
                mark python "$here/python/requirements.txt"; }
        ;;
    node | cli) npm_install "$1" ;;
    go)
        mkdir -p "$out/go"
        (cd "$here/go" && go mod download && go build -o "$out/go/story" .)
        ;;
    java)
        mkdir -p "$out/java"
        is_fresh java "$here/java/pom.xml" "$here/java/src/main/java/Story.java" ||
            { mvn -q -B -Dstyle.color=never -f "$here/java/pom.xml" -Dout="$out/java" compile \
                dependency:copy-dependencies -DoutputDirectory="$out/java/lib" >&2 &&
                mark java "$here/java/pom.xml" "$here/java/src/main/java/Story.java"; }
        ;;
    esac
}

# Tells two stories, the second whatever became of the first.
both() {
    local rc=0
    "$1" "$2" || rc=1
    "$1" "$3" || rc=1
    return "$rc"
}

story() {
    case $1 in
    python) both "$out/python/bin/python" "$here/python/story.py" "$here/python/mail.py" ;;
    node) both node "$out/node/story.mjs" "$out/node/mail.mjs" ;;
    go) "$out/go/story" ;;
    java) java -cp "$out/java/classes:$out/java/lib/*" Story ;;
    cli) node "$out/cli/story.mjs" ;;
    esac
}

# Starts an instance.
start() {
    local lang=$1 port
    port=$(free_port)
    : >"$wire/wire-$lang.jsonl"
    "$bin" up --listen "127.0.0.1:$port" --data "$temp/$lang" \
        --wire-log "$wire/wire-$lang.jsonl" >"$out/offhook-$lang.log" 2>&1 &
    pid=$!
    export OFFHOOK_URL="http://127.0.0.1:$port"
    for _ in $(seq 100); do
        curl -fs "$OFFHOOK_URL/healthz" >/dev/null && break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
}

# Starts an instance unless one is named, tells the story, stops the instance.
tell() {
    local lang=$1 env
    if [ -n "${OFFHOOK_AT:-}" ]; then
        export OFFHOOK_URL=$OFFHOOK_AT
    else
        start "$lang"
    fi
    if ! env=$(curl -fs "$OFFHOOK_URL/_offhook/v1/env"); then
        echo "not ok $lang start: the instance did not come up, see its log" >&2
        [ -n "${OFFHOOK_AT:-}" ] || tail -5 "$out/offhook-$lang.log" >&2
        stop
        return 1
    fi
    TWILIO_ACCOUNT_SID=$(field "$env" account_sid) \
        TWILIO_AUTH_TOKEN=$(field "$env" auth_token) \
        TWILIO_PHONE_NUMBER=$(field "$env" phone_number) \
        TEST_ACCOUNT_SID=$(field "$env" test_account_sid) \
        TEST_AUTH_TOKEN=$(field "$env" test_auth_token) \
        story "$lang" | tee "$temp/$lang.tap"
    local rc=${PIPESTATUS[0]}
    stop
    return "$rc"
}

passed=0
failed=0
bad=0
summary=
[ $# -gt 0 ] || set -- python node go java cli
for lang in "$@"; do
    case $lang in
    python | node | go | java | cli) ;;
    *)
        echo "run.sh: unknown language '$lang'" >&2
        exit 2
        ;;
    esac
    : >"$temp/$lang.tap"
    if ! install "$lang"; then
        echo "not ok $lang install: its dependencies cannot be installed" | tee "$temp/$lang.tap"
    else
        tell "$lang" || bad=1
    fi
    p=$(grep -c "^ok $lang " "$temp/$lang.tap")
    f=$(grep -c "^not ok $lang " "$temp/$lang.tap")
    [ $((p + f)) -gt 0 ] || bad=1
    passed=$((passed + p))
    failed=$((failed + f))
    summary+="$lang: $p passed, $f failed"$'\n'
done
printf '%s' "$summary"
echo "sdk stories: $passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ] && [ "$bad" -eq 0 ]
