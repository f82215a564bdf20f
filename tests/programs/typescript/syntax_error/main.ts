const ok: number = 1;
const bad: number = ;
