# Sourced by other scripts: downloads packages of Debian without root and without touching the system's package lists.
# The caller removes FOLDER, which holds 40 MB of lists for each release.

debian_lists() {  # debian_lists FOLDER COMPONENTS RELEASE...: 1 if there is no apt, or nothing can be reached
  command -v apt-get > /dev/null && command -v dpkg > /dev/null || return 1
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg folder=$1 components=$2 release
  [ -e "$keyring" ] || return 1
  shift 2
  mkdir -p "$folder/state/lists/partial" "$folder/cache/archives/partial" "$folder/sources.list.d"
  for release in "$@"; do
    printf 'deb [signed-by=%s] http://deb.debian.org/debian %s %s\n' "$keyring" "$release" "$components"
  done > "$folder/sources.list"
  apt_options=(
    -qq -o Dir::Etc::sourcelist="$folder/sources.list" -o Dir::Etc::sourceparts="$folder/sources.list.d"
    -o Dir::State="$folder/state" -o Dir::Cache="$folder/cache" -o APT::Sandbox::User="$(id -un)"
    -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=30
  )
  apt-get "${apt_options[@]}" update > "$folder/update.log" 2>&1
}

debian_download() {  # debian_download FOLDER PACKAGE[/RELEASE]...: after debian_lists
  local folder=$1
  shift
  mkdir -p "$folder"
  (cd "$folder" && apt-get "${apt_options[@]}" download "$@" 2> "$folder/download.log")
}
