/** A person's word that losses may happen, as far as it is told: in reports, in the history, to people. */
export interface GivenApproval {
  /** A login of the forge, or the author of a commit. */
  readonly by: string;
  readonly atMs: number;
  /** The plan that was approved; undefined for a commit, which names the losses alone. */
  readonly planId: string | undefined;
  /** Where it was given: `pull request #7`, `commit 1a2b3c4`. */
  readonly place: string;
}
