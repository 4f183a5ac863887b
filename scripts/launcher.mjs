// SPDX-License-Identifier: MIT

// The lines before a tool that make it a program: sh reads them as commands that start Bun or Deno on the same file, and
// these read them as a comment. So one file is what npm links as a command, what `deno run` and `bun` take, and what can
// be copied anywhere.

/** What may be read of the environment: by the library, and for the terminal. Without it both do as well. */
const variables = [
  ...["VMNET_SHIM_PATH", "VMNET_CHECK", "HOME", "XDG_CACHE_HOME"],
  ...["NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "TMPDIR"],
];

/**
 * What each tool may do in Deno, besides loading the library and reading {@linkcode variables}. Reading and writing are
 * not narrowed to folders, because the user names files and sockets; a unix socket needs both, and "net".
 */
const permissions = {
  vmnetd: ["read", "write", "net", "sys=uid"],
  capture: ["read", "write", "net", "sys=uid,homedir"],
  leases: ["read", "write", "net", "sys=uid"],
  forward: ["read", "write", "net", "sys=uid"],
  perf: ["read", "write", "net"],
  doctor: ["all"], // it looks at /dev and /proc, which Deno shows to nobody else
};

/** What finds the library's folder: it lies beside the tool, or its copy is put among the user's caches. */
const findLibrary = `
    library=$folder/natives
    if [ -n "\${VMNET_SHIM_PATH:-}" ]; then library=\${VMNET_SHIM_PATH%/*}
    elif ! [ -d "$library" ]; then
      case $(uname) in Darwin) library=$HOME/Library/Caches ;; *) library=$HOME/.cache ;; esac
      library=\${XDG_CACHE_HOME:-$library}/vmnet-natives
    fi
    case $library in *,*) library=$(printf %s "$library" | sed 's/,/,,/g') ;; esac`;

/** The lines for a tool. None of them may end the comment, and slash and asterisk do that in the other order. */
export function launcher(tool) {
  const names = permissions[tool] ?? [];
  const hasAll = names.includes("all");
  const own = hasAll ? [] : ['ffi="$library"', `env=${variables}`];
  const allowed = [...own, ...names].map((name) => `--allow-${name}`).join(" ");
  return `#!/usr/bin/env sh
":" /* sh starts Deno or Bun on this file: VMNET_RUNTIME says which, else the first that is there
file=$0
case $file in /*) ;; *) file=$PWD/$file ;; esac
while [ -L "$file" ]; do
  link=$(readlink "$file")
  case $link in /*) file=$link ;; *) file=\${file%/*}/$link ;; esac
done
folder=$(CDPATH='' cd -- "\${file%/*}" && pwd -P)
file=$folder/\${file##*[/]}
for runtime in \${VMNET_RUNTIME:-deno bun}; do
  command -v "$runtime" >/dev/null 2>&1 || continue
  case $runtime in
  bun) exec bun "$file" "$@" ;;
  deno)${hasAll ? "" : findLibrary}
    exec deno run --quiet --no-prompt --no-config --no-lock ${allowed} "$file" "$@" ;;
  esac
done
echo "${tool}: needs Deno or Bun, and found no \${VMNET_RUNTIME:-deno and no bun}; VMNET_RUNTIME takes deno or bun" >&2
exit 127
*/
`;
}
