import{T as e,e as t}from"./chunk-MDJLSZCW.js";function f(){let[s,o]=t(""),[n,r]=t(!1);return{wrong:s,busy:n,act:async a=>{r(!0),o("");try{await a()}catch(c){o(e(c))}finally{r(!1)}}}}export{f as a};
