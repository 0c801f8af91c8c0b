export type Flavour = "gitea" | "forgejo";

/** What `GET /version` says; Forgejo adds the Gitea it is compatible with. */
export const versions: Readonly<Record<Flavour, string>> = { gitea: "1.22.3", forgejo: "10.0.0+gitea-1.22.0" };
