console.log('never');
const x = { a: 1,, };
