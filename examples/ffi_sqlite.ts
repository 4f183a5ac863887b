// Asks SQLite something, with its plain C functions.
//
//   deno run --allow-ffi examples/ffi_sqlite.ts
//   bun examples/ffi_sqlite.ts

import { dlopen, type Pointer, suffix } from "vmnet/ffi";

const library = dlopen(suffix === "dylib" ? "libsqlite3.dylib" : "libsqlite3.so.0", {
  sqlite3_open: { args: ["cstring", "ptr"], returns: "i32" },
  sqlite3_exec: { args: ["ptr", "cstring", "ptr", "ptr", "ptr"], returns: "i32" },
  sqlite3_prepare_v2: { args: ["ptr", "cstring", "i32", "ptr", "ptr"], returns: "i32" },
  sqlite3_step: { args: ["ptr"], returns: "i32" },
  sqlite3_column_text: { args: ["ptr", "i32"], returns: "cstring" },
  sqlite3_column_int: { args: ["ptr", "i32"], returns: "i32" },
  sqlite3_errmsg: { args: ["ptr"], returns: "cstring" },
  sqlite3_finalize: { args: ["ptr"], returns: "i32" },
  sqlite3_close: { args: ["ptr"], returns: "i32" },
});
const sqlite = library.symbols;
const SQLITE_ROW = 100;

// SQLite gives what it makes through a pointer to a pointer
const out = new BigUint64Array(1);
sqlite.sqlite3_open(":memory:", out);
const db = Number(out[0]) as Pointer;

const setup = "create table planet (name text, moons int); insert into planet values ('Mars', 2), ('Saturn', 274)";
if (sqlite.sqlite3_exec(db, setup, null, null, null) !== 0) throw new Error(`${sqlite.sqlite3_errmsg(db)}`);

sqlite.sqlite3_prepare_v2(db, "select name, moons from planet order by moons desc", -1, out, null);
const statement = Number(out[0]) as Pointer;
while (sqlite.sqlite3_step(statement) === SQLITE_ROW) {
  console.log(`${sqlite.sqlite3_column_text(statement, 0)}: ${sqlite.sqlite3_column_int(statement, 1)} moons`);
}
sqlite.sqlite3_finalize(statement);
sqlite.sqlite3_close(db);
library.close();
