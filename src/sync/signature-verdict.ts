/** What is to be said of a commit's signature, judged by the configured keys alone. */
export type SignatureVerdict =
  | {
      readonly kind: "good";
      readonly by: SignatureKind /** Principal or user id. */;
      readonly signer: string;
      readonly key: string;
    }
  | {
      readonly kind: "refused";
      readonly reason: RefusedReason;
      readonly by: SignatureKind | undefined;
      /** Fingerprint or id of the key, where the signature names one. */
      readonly key: string | undefined;
    };

export type SignatureKind = "ssh" | "gpg";

/**
 * `unreadable`: a signature that is none, that comes twice, or of a kind nobody checks; `not-allowed-kind`: no keys of its
 * kind are configured; `expired`: of the key or of the signature.
 */
export type RefusedReason =
  | "unsigned"
  | "unknown-key"
  | "bad"
  | "expired"
  | "revoked"
  | "unreadable"
  | "not-allowed-kind";

/** Where the keys are; at least one of the two. */
export interface SignaturePolicy {
  /** An OpenSSH `allowed_signers` file. */
  readonly allowedSigners: string | undefined;
  /** Public OpenPGP keys, armored or binary. */
  readonly gpgKeys: string | undefined;
}
