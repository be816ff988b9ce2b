#!/bin/bash
# A consumer in bash: prints the stream and the type of each event and acknowledges it, until it has
# COUNT of them.
# usage: consume.sh ADDRESS GROUP COUNT
set -euo pipefail

coproc call { exec grpcurl -plaintext -d @ "$1" leftfold.store.v1.ConsumerService/Consume; }
pid=$!
echo "{\"open\": {\"group\": \"$2\", \"consumer\": \"bash\", \"window\": 10}}" >&"${call[1]}"
count=0
value() { sed 's/^[^:]*: "//; s/",\{0,1\}$//' <<< "$1"; }
while ((count < $3)) && read -r line <&"${call[0]}"; do
  case $line in
    '"delivery_id": '*) id=$(value "$line") ;;
    '"stream": '*) stream=$(value "$line") ;;
    '"type": '*)
      # Here the work is done. It may be done twice: remember $id where that would do harm.
      echo "$stream $(value "$line")"
      echo "{\"ack\": {\"delivery_ids\": [\"$id\"]}}" >&"${call[1]}"
      count=$((count + 1))
      ;;
  esac
done
exec {call[1]}>&- # The call ends when the acknowledgements are durable.
cat <&"${call[0]}" > /dev/null
wait "$pid"
