"""Diagonal linear recurrences with complex states, as their papers' readers write them."""

from __future__ import annotations

import math

import torch
from torch import nn


class LRU(nn.Module):
    """Linear recurrent unit (Orvieto and others 2023): the state is (B, N) complex."""

    def __init__(self, inputs=3, width=6, outputs=2, r_min=0.5, r_max=0.95):
        super().__init__()
        u1, u2 = torch.rand(width), torch.rand(width)
        self.nu_log = nn.Parameter(torch.log(-0.5 * torch.log(u1 * (r_max**2 - r_min**2) + r_min**2)))
        self.theta_log = nn.Parameter(torch.log(u2 * 2 * math.pi))
        self.gamma_log = nn.Parameter(torch.log(torch.sqrt(1 - torch.exp(-2 * torch.exp(self.nu_log)))).detach())
        self.B_re = nn.Parameter(torch.randn(width, inputs) / math.sqrt(2 * inputs))
        self.B_im = nn.Parameter(torch.randn(width, inputs) / math.sqrt(2 * inputs))
        self.C_re = nn.Parameter(torch.randn(outputs, width) / math.sqrt(width))
        self.C_im = nn.Parameter(torch.randn(outputs, width) / math.sqrt(width))
        self.D = nn.Parameter(torch.randn(outputs, inputs))

    def forward(self, u, state=None):
        lambda_ = torch.exp(torch.complex(-torch.exp(self.nu_log), torch.exp(self.theta_log)))
        B_norm = torch.complex(self.B_re, self.B_im) * torch.exp(self.gamma_log)[:, None]
        C = torch.complex(self.C_re, self.C_im)
        if state is None:
            state = torch.zeros(u.shape[0], len(lambda_), dtype=lambda_.dtype, device=u.device)
        Bu = u.to(lambda_.dtype) @ B_norm.T
        states = []
        for t in range(u.shape[1]):
            state = lambda_ * state + Bu[:, t]
            states.append(state)
        y = (torch.stack(states, 1) @ C.T).real + u @ self.D.T
        return y, state


class S4D(nn.Module):
    """Diagonal S4 (Gu and others 2022): a convolution over the whole sequence, and ``step`` for one position."""

    def __init__(self, inputs=3, width=5, order=4, outputs=2):
        super().__init__()
        self.inp = nn.Linear(inputs, width)
        self.log_dt = nn.Parameter(torch.rand(width) * (math.log(0.1) - math.log(0.01)) + math.log(0.01))
        self.C = nn.Parameter(torch.view_as_real(torch.randn(width, order, dtype=torch.cfloat)))
        self.log_A_real = nn.Parameter(torch.log(0.5 * torch.ones(width, order)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(order).float().expand(width, order).contiguous())
        self.D = nn.Parameter(torch.randn(width))
        self.out = nn.Linear(width, outputs)

    def _discrete(self):
        A = torch.complex(-torch.exp(self.log_A_real), self.A_imag)
        dA = torch.exp(A * torch.exp(self.log_dt)[:, None])
        return dA, torch.view_as_complex(self.C) * (dA - 1) / A

    def forward(self, x):
        u, L = self.inp(x).transpose(1, 2), x.shape[1]
        dA, C = self._discrete()
        K = 2 * torch.einsum("hn,hnl->hl", C, dA[..., None] ** torch.arange(L, device=x.device)).real
        y = torch.fft.irfft(torch.fft.rfft(u, n=2 * L) * torch.fft.rfft(K, n=2 * L), n=2 * L)[..., :L]
        return self.out(torch.nn.functional.gelu(y + u * self.D[:, None]).transpose(1, 2))

    def step(self, x, state):
        u = self.inp(x)
        dA, C = self._discrete()
        state = dA * state + u[..., None]
        y = 2 * torch.einsum("hn,bhn->bh", C, state).real
        return self.out(torch.nn.functional.gelu(y + u * self.D)), state

    def default_state(self, *batch_shape):
        A = torch.complex(self.log_A_real, self.A_imag)
        return torch.zeros(*batch_shape, *A.shape, dtype=A.dtype, device=A.device)


class S5(nn.Module):
    """Two layers of S5 (Smith and others 2023), one complex state a layer, complex parameters."""

    def __init__(self, inputs=3, width=6, state_size=4, layers=2, outputs=2):
        super().__init__()
        self.encoder = nn.Linear(inputs, width)
        A = torch.complex(-0.5 * torch.ones(state_size), math.pi * torch.arange(state_size).float())
        self.Lambda = nn.ParameterList([nn.Parameter(A.clone()) for _ in range(layers)])
        self.B = nn.ParameterList(
            [nn.Parameter(torch.randn(state_size, width, dtype=torch.cfloat) * 0.3) for _ in range(layers)]
        )
        self.C = nn.ParameterList(
            [nn.Parameter(torch.randn(width, state_size, dtype=torch.cfloat) * 0.3) for _ in range(layers)]
        )
        self.log_step = nn.ParameterList([nn.Parameter(torch.full((state_size,), -2.0)) for _ in range(layers)])
        self.decoder = nn.Linear(width, outputs)

    def forward(self, x, prev_states=None):
        x = self.encoder(x)
        states = []
        for i, (Lambda, B, C, log_step) in enumerate(zip(self.Lambda, self.B, self.C, self.log_step, strict=True)):
            Lambda_bar = torch.exp(Lambda * torch.exp(log_step))
            Bu = (x.to(B.dtype) @ B.T) * ((Lambda_bar - 1) / Lambda)
            h = Bu.new_zeros(len(x), len(Lambda)) if prev_states is None else prev_states[i]
            hs = []
            for t in range(x.shape[1]):
                h = Lambda_bar * h + Bu[:, t]
                hs.append(h)
            x = x + torch.nn.functional.gelu((torch.stack(hs, 1) @ C.T).real)
            states.append(h)
        return self.decoder(x), states
