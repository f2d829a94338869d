import{G as e,e as t}from"./app-PPV2UODD.js";function f(){let[s,o]=t(""),[n,r]=t(!1);return{wrong:s,busy:n,act:async a=>{r(!0),o("");try{await a()}catch(i){o(e(i))}finally{r(!1)}}}}export{f as a};
