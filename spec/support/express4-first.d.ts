/** The oldest release that we go with. It is the same to the compiler. */
declare module "express4-first" {
  export { default } from "express4";
}
