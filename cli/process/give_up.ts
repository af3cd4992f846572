/**
 * Permissions that a command lets go of once it has no use for them. In: names of permissions. Out: a
 * process without them, which cannot get them back.
 */

/**
 * Gives up permissions for the rest of the process. A socket that listens goes on listening and
 * answers without `net`: Deno has no permission to listen that is not one to connect as well, so
 * letting go of it after listening is what keeps a server from connecting.
 *
 * @param names such as `net` and `write`
 * @throws {Error} where one is still granted afterwards
 */
export async function giveUp(...names: readonly ("net" | "write")[]): Promise<void> {
  for (const name of names) {
    const { state } = await Deno.permissions.revoke({ name });
    if (state !== "granted") continue;
    throw new Error(`Cannot give up the permission ${name}: Deno keeps it; start without it`);
  }
}
