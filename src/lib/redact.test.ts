import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { diffLines, maskedDifference, maskPair, maskSecrets } from "./redact.ts";

const S = "Zk7wQx93Lm";

/** Written, shown. `§` stands for the secret. */
const table: readonly (readonly [string, string])[] = [
  ["password: §", "password: (masked)"],
  ["    passwd: '§'", "    passwd: '(masked)'"],
  ['plain_text_passwd: "§"', 'plain_text_passwd: "(masked)"'],
  ["hashed_passwd: $6$rounds=4096$§$abcdefgh./", "hashed_passwd: (masked)"],
  ["  - {name: root, password: §, type: text}", "  - {name: root, password: (masked), type: text}"],
  [
    "chpasswd:\n  expire: false\n  list: |\n    root:§\n    ubuntu: § §\nx: 1",
    "chpasswd:\n  expire: false\n  list: |\n    root:(masked)\n    ubuntu:(masked)\nx: 1",
  ],
  ["chpasswd:\n  list:\n    - root:§\n    - 'app:§'", "chpasswd:\n  list:\n    - root:(masked)\n    - 'app:(masked)"],
  ['chpasswd:\n  list: ["root:§", "app:§"]', 'chpasswd:\n  list: ["root:(masked)", "app:(masked)"]'],
  [
    "chpasswd:\n  users:\n    - {name: root, password: §}",
    "chpasswd:\n  users:\n    - {name: root, password: (masked)}",
  ],
  ["echo 'root:§' | chpasswd", "echo '(masked)' | chpasswd"],
  ["chpasswd <<EOF\nroot:§\nEOF\nls", "chpasswd <<EOF\nroot:(masked)\nEOF\nls"],
  [
    "-----BEGIN OPENSSH PRIVATE KEY-----\n§\n§==\n-----END OPENSSH PRIVATE KEY-----\nnext",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n(masked)\n(masked)\n-----END OPENSSH PRIVATE KEY-----\nnext",
  ],
  ['{"key":"-----BEGIN PRIVATE KEY-----\\n§\\n-----END PRIVATE KEY-----"}', '{"key":"(masked)"}'],
  ["git clone https://bot:§@git.example/x.git", "git clone https://bot:(masked)@git.example/x.git"],
  ["url: postgres://app:§@db/§@x", "url: postgres://app:(masked)@x"],
  ["see http://host:8080/@scope/pkg", "see http://host:8080/@scope/pkg"],
  ["curl -H 'Authorization: Bearer §' https://x", "curl -H 'Authorization: Bearer (masked)' https://x"],
  ["export TOKEN=ghp_§abcdefghij0123", "export TOKEN=(masked)"],
  ["run ghp_§abcdefghij0123 now", "run (masked) now"],
  ["run glpat-§abcdefghij.01.0a1b2c3d4 now", "run (masked) now"],
  ["aws AKIAIOSFODNN7EXAMPLE", "aws (masked)"],
  ["CREATE USER 'app'@'%' IDENTIFIED BY '§';", "CREATE USER 'app'@'%' IDENTIFIED BY '(masked)';"],
  ["ALTER ROLE app WITH PASSWORD '§';", "ALTER ROLE app WITH PASSWORD '(masked)';"],
  [
    "CHANGE MASTER TO MASTER_HOST='db-1', MASTER_PASSWORD='§', MASTER_PORT=3306",
    "CHANGE MASTER TO MASTER_HOST='db-1', MASTER_PASSWORD='(masked)', MASTER_PORT=3306",
  ],
  ['$p = ConvertTo-SecureString "§" -AsPlainText -Force', '$p = ConvertTo-SecureString "(masked)" -AsPlainText -Force'],
  [
    "ConvertTo-SecureString -AsPlainText -Force -String '§'",
    "ConvertTo-SecureString -AsPlainText -Force -String '(masked)'",
  ],
  ["export DB_PASSWORD=§", "export DB_PASSWORD=(masked)"],
  ["run: PGPASSWORD=§ psql -h db", "run: PGPASSWORD=(masked) psql -h db"],
  ['  "apiKey": "§",', '  "apiKey": "(masked)",'],
  ["installer --password § --verbose", "installer --password (masked) --verbose"],
  ["installer --admin-token='§' --verbose", "installer --admin-token='(masked)' --verbose"],
  ["installer --password \\\n  § \\\n  --x", "installer --password \\\n  (masked)\n  (masked)"],
  ["mysql -uroot -p§ -e 'select 1'", "mysql -uroot -p(masked) -e 'select 1'"],
  ["curl -u admin:§ https://x", "curl -u admin:(masked) https://x"],
  ["net user Administrator § /add", "net user Administrator (masked) /add"],
  [
    "<AdministratorPassword><Value>§</Value></AdministratorPassword>",
    "<AdministratorPassword><Value>(masked)</Value></AdministratorPassword>",
  ],
  [
    "<AdministratorPassword>\n  <Value>§</Value>\n</AdministratorPassword>\n<a>b</a>",
    "<AdministratorPassword>\n  <Value>(masked)</Value>\n</AdministratorPassword>\n<a>b</a>",
  ],
  ["secret: |\n  § one\n\n  two\nuser: bob", "secret: |\n  (masked)\n\n  (masked)\nuser: bob"],
  ["secrets:\n  db: §\n  list:\n    - §\nuser: bob", "secrets:\n  db: (masked)\n  list:\n    - (masked)\nuser: bob"],
  ["passwords:\n- §\nuser: bob", "passwords:\n- (masked)\nuser: bob"],
  ['password: "one §\n  two §"\nuser: bob', 'password: "(masked)\n  (masked)"\nuser: bob'],
  ["PrivateKey = §", "PrivateKey = (masked)"],
];

const harmless: readonly string[] = [
  "#cloud-config\nhostname: web-1\nusers:\n  - name: app\n    lock_passwd: true\n    ssh_authorized_keys:\n      - ssh-ed25519 AAAAC3Nz app@host",
  "ssh_pwauth: false",
  "password: ${DB_PASSWORD}",
  'password: ""',
  "password_file: /run/secrets/db",
  "keyboard: us\npackages: [nginx, keychain]",
  "runcmd:\n  - systemctl restart nginx\n  - echo done | tee /var/log/x",
  "compass: north\nbypass: yes",
];

describe("maskSecrets", () => {
  it.each(table)("masks %j", (written, shown) => {
    const masked = maskSecrets(written.replaceAll("§", S));
    expect(masked).not.toContain(S);
    expect(masked.split("\n")).toHaveLength(written.split("\n").length);
    expect(masked).toBe(shown);
  });

  it.each(harmless)("leaves %j as it is", (text) => {
    expect(maskSecrets(text)).toBe(text);
  });

  it("never lets a planted secret through, whatever it is made of and whatever stands around it", () => {
    const forms = table.map(([written]) => written).filter((written) => written.includes("§"));
    const secret = fc
      .stringMatching(/^[A-Za-z0-9+/_.%!*-]{10,24}$/)
      .filter((text) => /[A-Za-z]{3}/.test(text) && !/^[-/]/.test(text));
    const noise = fc.constantFrom(
      "",
      "hostname: web-1\n",
      "runcmd:\n  - ls\n",
      "# comment 'with quote\n",
      "a: {b: [c]}\n",
    );
    fc.assert(
      fc.property(noise, fc.constantFrom(...forms), secret, noise, (head, form, planted, tail) => {
        const usable = /:\/\/|\\n|ghp_|glpat-/.test(form) ? planted.replaceAll(/\W/g, "x") : planted;
        const text = `${head}${form.replaceAll("§", usable)}\n${tail}`;
        expect(maskSecrets(text)).not.toContain(usable);
      }),
      { numRuns: 3_000 },
    );
  });

  it("takes time in proportion to the text, also for lines made to be slow", () => {
    const started = performance.now();
    for (const evil of ["://a:", "password ", "--password ", "echo x ", "<password>", "'", "a=", "mysql -", "{"]) {
      maskSecrets(evil.repeat(20_000));
    }
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe("maskPair", () => {
  it("shows that a secret changed without showing either value", () => {
    expect(maskedDifference(`user: a\npassword: ${S}1\n`, `user: a\npassword: ${S}2\n`)).toBe(
      "@@ -1,2 +1,2 @@\n user: a\n-password: (masked)\n+password: (masked, changed)",
    );
  });

  it("says nothing about a secret that stayed", () => {
    expect(maskedDifference(`password: ${S}\na: 1`, `password: ${S}\na: 2`)).toBe(
      "@@ -1,2 +1,2 @@\n password: (masked)\n-a: 1\n+a: 2",
    );
  });

  it("sees two secrets that changed places", () => {
    const pair = maskPair("password: A\npassword: B", "password: B\npassword: A");
    expect(diffLines(pair.before, pair.after)).not.toBe("");
  });

  it("gives different texts for different lines, whichever secrets changed", () => {
    const line = fc.constantFrom(
      "a: 1",
      "b: 2",
      "password: x1",
      "password: x2",
      "token: x1",
      "token: x2",
      "secret: x3",
    );
    const lines = fc.array(line, { maxLength: 8 });
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        fc.pre(before.join("\n") !== after.join("\n"));
        const pair = maskPair(before.join("\n"), after.join("\n"));
        expect(pair.after).not.toBe(pair.before);
        expect(`${pair.before}${pair.after}`).not.toMatch(/x[123]/);
      }),
    );
  });
});
