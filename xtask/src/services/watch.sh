# Ends a server and removes its directory as soon as standard input closes. The other end of that pipe is held by the
# process that started the server, so the server ends with it, however it ends, SIGKILL included.
# arguments: directory, signal that ends the server at once
folder=$1
signal=$2
trap '' HUP INT TERM
cat >/dev/null
# A server that is just being started has either left its number by now, or finds no directory to leave it in.
mv "$folder" "$folder.ended" || exit 1
folder=$folder.ended
pid=$(cat "$folder/server.pid" 2>/dev/null)
# A number may have been given to another process since: ours works inside the directory.
case $(readlink "/proc/${pid:-none}/cwd") in
"$folder" | "$folder"/*) kill -s "$signal" "$pid" ;;
*) pid=none ;;
esac
# A zombie has ended: its parent may never ask.
n=0
while [ "$n" -lt 100 ] && grep -q '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" 2>/dev/null; do
    n=$((n + 1))
    [ "$n" -eq 50 ] && kill -s KILL "$pid"
    sleep 0.1
done
n=0
until rm -rf "$folder" || [ "$n" -ge 20 ]; do
    n=$((n + 1))
    sleep 0.1
done
